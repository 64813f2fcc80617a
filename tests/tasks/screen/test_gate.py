"""Gates own their settings: a study names them, and a new one is seen by whatever reads gates."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pydantic import Field, ValidationError

from curette.flows.study_file import load_study
from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate, CandidateSet, FileOrigin
from curette.schemas.embeddings import EncoderIdentity, TextEmbeddings
from curette.schemas.images import ClassLabel
from curette.schemas.settings.screen import ScreenSpec, gate_kinds
from curette.tasks.screen.gate import Candidates, Circumstances, Finding, Gate, Outcome, one_by_one
from curette.tasks.screen.gates.form import Form
from curette.tasks.screen.gates.judge import Judge
from curette.tasks.screen.gates.near_duplicate import NearDuplicate
from curette.tasks.screen.screening import screen


class Shouting(Gate, frozen=True):
    """A gate that only this file knows: no capitals."""

    kind: Literal["shouting"] = "shouting"
    allowed: int = Field(default=0, ge=0, description="capitals that a statement may have")

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        def rule(candidate: Candidate) -> Finding | None:
            count = sum(letter.isupper() for letter in candidate.text)
            return Finding(f"shouts {count} capitals") if count > self.allowed else None

        return one_by_one(self.kind, left, rule)


def study(tmp_path: Path, screened: str) -> Path:
    """Write a study file with this `screen`."""
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: s\ndataset: {source: {kind: synthetic}}\n"
        f"propose: {{sources: [{{kind: recorded}}]}}\nscreen:\n{screened}",
        encoding="utf-8",
    )
    return file


def test_a_new_gate_is_read_run_and_named_without_another_line(tmp_path: Path) -> None:
    file = study(tmp_path, "  gates: [form, {kind: shouting, allowed: 1}]\n")
    spec = load_study(file).screen
    assert spec.names == ("form", "shouting")
    assert spec.model_dump(mode="json")["gates"][1] == {"kind": "shouting", "allowed": 1}
    proposed = CandidateSet(
        candidates=tuple(
            Candidate(text=text, classes=("a",), origins=(FileOrigin(file="f", line=1),))
            for text in ("Red dots", "RED dots")
        )[1:],
        source="by hand",
    )
    encoder = EncoderIdentity(name="by hand", digest="0" * 64, dim=1, demo=False)
    texts = TextEmbeddings(("RED dots",), np.ones((1, 1), np.float32), encoder)
    known = Circumstances((ClassLabel(key="a", name="melanoma"),), texts)
    (dropped,) = screen(proposed, known, spec).dropped
    assert (dropped.gate, dropped.reason) == ("shouting", "shouts 3 capitals")


def test_a_gate_is_a_name_or_a_kind_with_settings() -> None:
    spec = ScreenSpec.model_validate({"gates": ["form", {"kind": "near_duplicate", "cosine": 0.9}]})
    assert spec.gates == (Form(), NearDuplicate(cosine=0.9))
    assert ScreenSpec.model_validate(spec.model_dump()) == spec


def test_settings_beside_gates_go_to_the_gate_they_belong_to() -> None:
    spec = ScreenSpec.model_validate({"near_duplicate_cosine": 0.97, "judge": {"votes": 5}})
    assert NearDuplicate(cosine=0.97) in spec.gates
    assert spec.names.index("judge") == spec.names.index("exact_duplicate") + 1
    assert Judge(votes=5) in spec.gates
    assert spec.asks
    assert not ScreenSpec().asks
    named = ScreenSpec.model_validate({"gates": ["judge", "form"], "judge": {"votes": 1}})
    assert named.gates == (Judge(votes=1), Form())
    with pytest.raises(ValueError, match="`max_jaccard` is a setting of the gate co_occurrence"):
        ScreenSpec.model_validate({"max_jaccard": 0.5})
    with pytest.raises(ValueError, match="`judge` is described but is not among `gates`"):
        ScreenSpec.model_validate({"gates": ["form"], "judge": {}})


def test_every_gate_can_be_named_once_and_no_other() -> None:
    every = [kind for kind in gate_kinds() if kind != "shouting"]
    assert ScreenSpec.model_validate({"gates": every}).names == tuple(every)
    with pytest.raises(ValidationError, match="a gate stands twice"):
        ScreenSpec.model_validate({"gates": ["form", "form"]})


@pytest.mark.parametrize(
    ("screened", "message"),
    [
        ("  gates: [form, from]\n", "study.yaml:5: screen.gates.1"),
        ("  gates:\n    - {kind: form, max_word: 3}\n", "did you mean `max_words`?"),
        ("  gates:\n    - {kind: form, max_words: 0}\n", "study.yaml:6: screen.gates.0.max_words"),
        ("  near_duplicate_cosin: 0.9\n", "there is no such key; there are"),
    ],
)
def test_what_is_wrong_in_a_gate_is_told_with_its_place(
    tmp_path: Path, screened: str, message: str
) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(study(tmp_path, screened))
    assert message in str(caught.value)
    if "from" in screened:
        assert "'class_leak'" in str(caught.value)
