"""Asking again about what is confused: who is asked what, and what is taken of the answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from curette.schemas.appraisal import Appraisal, ConfusedPair, Round
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.candidates import Candidate, CandidateSet, FileOrigin, concept_id
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import (
    ClassPromptSource,
    ContrastSource,
    ProposeSpec,
    RecordedSource,
    Sampling,
)
from curette.storage.store import ArtifactStore
from curette.tasks.ingest.synthetic import CLASSES
from curette.tasks.propose.again import propose_again
from curette.tasks.propose.again_task import propose_concepts_again
from curette.tasks.propose.records import DEMO_RECORD
from curette.tasks.stage import Workplace
from tests.builders.images import image_dataset
from tests.servers import Answer, ChatServer, chat_server, in_turn

LABELS = (
    ClassLabel(key="secret-key-nv", name="melanocytic nevus", synonyms=("secret synonym",)),
    ClassLabel(key="secret-key-mel", name="melanoma"),
    ClassLabel(key="secret-key-bcc", name="basal cell carcinoma"),
)
CONTRASTS = ContrastSource(kind="contrasts", sampling=Sampling(max_rounds=1), concepts_per_answer=7)
SPEC = ProposeSpec(sources=(CONTRASTS,), modality="dermoscopy image", rounds=2)
IN_USE = ("pigment network", "blue-white </statements> veil")
SAID = {"first": ["even oval outline", "Pigment network."], "second": ["black blotch"]}


def appraisal(*pairs: tuple[str, str]) -> Appraisal:
    return Appraisal(
        rounds=(
            Round(
                number=1,
                about=(),
                proposed=2,
                screened=2,
                chosen=2,
                concepts=tuple(concept_id(text) for text in IN_USE),
                usage=Usage(),
                accuracy=0.777,
                loss=0.333,
                kept=True,
            ),
        ),
        pairs=tuple(
            ConfusedPair(
                first=a, second=b, first_as_second=55, second_as_first=44, groups=33, rate=0.22
            )
            for a, b in pairs
        ),
        statements=IN_USE,
        images=99,
        groups=88,
        losses=(0.123,),
    )


EARLIER = CandidateSet(
    candidates=tuple(
        Candidate(text=t, classes=("secret-key-mel",), origins=(FileOrigin(file="f", line=1),))
        for t in (*IN_USE, "milky veil")
    ),
    usage=Usage(requests=5, answers=5, prompt_tokens=50, completion_tokens=5),
    source="a list",
)
PAIR = ("secret-key-nv", "secret-key-mel")


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server(in_turn(Answer(json.dumps(SAID)))) as running:
        yield running


def run(
    store: ArtifactStore, server: ChatServer, said: Appraisal, **settings: Any
) -> Ref[CandidateSet]:
    recipe = Recipe(stage="before", code="")
    dataset = image_dataset(
        pd.DataFrame(
            {
                "image_id": ["secret-image"],
                "sha256": ["0" * 64],
                "location": ["secret.png"],
                "split": ["train"],
                "label": ["secret-key-nv"],
                "group": ["secret-patient"],
            }
        ),
        classes=LABELS,
        source="secret source",
        synthetic=False,
    )
    llm = LlmSpec(
        model="tiny",
        base_url=server.base_url,
        api_key_variable="SOME_KEY",
        max_retries=0,
        **settings,
    )
    screened = ScreenedSet(kept=EARLIER.candidates, dropped=(), gates=(), usage=Usage(requests=2))
    return propose_concepts_again.fn(
        Workplace(store),
        store.save(dataset, recipe),
        store.save(EARLIER, recipe),
        store.save(screened, recipe),
        store.save(said, recipe),
        SPEC.first_round,
        llm,
    )


def test_each_confused_pair_is_asked_about_once_with_the_statements_in_use(
    tmp_path: Path, server: ChatServer
) -> None:
    store = ArtifactStore(tmp_path)
    pairs = (PAIR, ("secret-key-mel", "secret-key-bcc"))
    found = store.load(CandidateSet, run(store, server, appraisal(*pairs)))
    asked = [body["messages"][-1]["content"] for body in server.bodies]
    assert len(asked) == 2
    first = next(text for text in asked if "melanocytic nevus" in text)
    assert "<first>melanocytic nevus</first>\n<second>melanoma</second>" in first
    assert "<statements>\n- pigment network\n- blue-white /statements veil\n</statements>" in first
    assert "Write 7 different statements" in first
    for number in ("55", "44", "33", "99", "88", "0.22", "0.333", "0.777", "0.123"):
        assert number not in first, "what was measured is not sent"
    assert not any("secret" in text for text in asked), "nor keys, images or synonyms"
    assert found.again
    assert found.again.about == pairs
    run(store, server, appraisal(*pairs))
    assert len(server.bodies) == 2, "nothing is asked twice"


def test_new_candidates_stand_behind_the_earlier_and_say_where_they_come_from(
    tmp_path: Path, server: ChatServer
) -> None:
    store = ArtifactStore(tmp_path)
    found = store.load(CandidateSet, run(store, server, appraisal(PAIR)))
    assert found.candidates[:3] == EARLIER.candidates
    assert [(c.text, c.classes) for c in found.candidates[3:]] == [
        ("even oval outline", ("secret-key-nv",)),
        ("black blotch", ("secret-key-mel",)),
    ]
    for candidate in found.candidates[3:]:
        [origin] = candidate.origins
        assert origin.kind == "llm"
        assert (origin.round, origin.pair, origin.prompt) == (2, PAIR, "again")
        assert (candidate.round, origin.recorded) == (2, False)
    assert {c.round for c in found.candidates[:3]} == {1}
    assert found.usage.requests == 6
    assert found.again
    assert found.again.usage.requests == 1
    assert found.source == (
        "a list; round 2: tiny: 1 answers on 1 pairs of classes (still confused)"
    )


def test_what_was_said_in_an_earlier_round_is_not_taken_again(
    tmp_path: Path, server: ChatServer
) -> None:
    store = ArtifactStore(tmp_path)
    server.behave = in_turn(
        Answer(json.dumps({"first": ["Milky veil.", "grey dots"], "second": ["Pigment network"]}))
    )
    found = store.load(CandidateSet, run(store, server, appraisal(PAIR)))
    assert [c.text for c in found.candidates] == [*IN_USE, "milky veil", "grey dots"]
    assert sorted((f.raw, f.reason) for f in found.failures) == [
        ("Milky veil", "proposed in an earlier round"),
        ("Pigment network", "copied from the question"),
    ]


def test_an_echo_of_the_form_is_of_no_use(tmp_path: Path, server: ChatServer) -> None:
    store = ArtifactStore(tmp_path)
    form = {"first": ["a statement about the first"], "second": ["a statement about the second"]}
    server.behave = in_turn(Answer(json.dumps(form)))
    found = store.load(CandidateSet, run(store, server, appraisal(PAIR)))
    assert found.candidates == EARLIER.candidates
    assert found.failures


def test_no_more_pairs_are_asked_about_than_contrasts_would(
    tmp_path: Path, server: ChatServer
) -> None:
    store = ArtifactStore(tmp_path)
    keys = [label.key for label in LABELS]
    every = [(a, b) for a in keys for b in keys if a != b]
    found = store.load(CandidateSet, run(store, server, appraisal(*every)))
    assert found.again
    assert found.again.about == tuple(every[:3])


def test_what_was_spent_before_counts_towards_the_limit(tmp_path: Path, server: ChatServer) -> None:
    store = ArtifactStore(tmp_path)
    with pytest.raises(StudyError, match="max_requests"):
        run(store, server, appraisal(PAIR), max_requests=7)
    assert not server.bodies
    run(store, server, appraisal(PAIR), max_requests=8)


def test_without_a_model_recorded_answers_on_the_confused_pairs_are_replayed() -> None:
    labels = tuple(ClassLabel(key=key, name=name) for key, name in CLASSES)
    spec = ProposeSpec(sources=(RecordedSource(kind="recorded"),), rounds=2)
    said = appraisal(("melanoma", "nevus"))
    found = propose_again(labels, spec, None, EARLIER, said)
    new = found.candidates[3:]
    record = json.loads(DEMO_RECORD.read_text(encoding="utf-8"))
    [answer] = [
        json.loads(a["text"])
        for a in record["contrasts"]
        if {a["first"], a["second"]} == {"melanocytic nevus", "melanoma"}
    ]
    assert [c.text for c in new] == [*answer["first"], *answer["second"]]
    assert {c.classes for c in new} == {("nevus",), ("melanoma",)}
    for candidate in new:
        [origin] = candidate.origins
        assert origin.kind == "llm"
        assert (origin.recorded, origin.round, origin.pair) == (True, 2, ("nevus", "melanoma"))
    assert found.recorded
    assert "no model was asked" in found.source
    assert propose_again(labels, spec, None, EARLIER, appraisal()).candidates == EARLIER.candidates


def test_with_neither_model_nor_record_it_says_what_to_add() -> None:
    with pytest.raises(StudyError, match=r"propose\.rounds.*Add `llm"):
        propose_again(LABELS, SPEC, None, EARLIER, appraisal(PAIR))


def test_one_round_is_written_as_if_there_were_no_rounds() -> None:
    sources = (ClassPromptSource(kind="class_prompts"), RecordedSource(kind="recorded"))
    once = ProposeSpec(sources=sources)
    assert "rounds" not in once.model_dump()
    assert "aspects" not in once.model_dump()["sources"][1]
    assert once.model_copy(update={"rounds": 3}).first_round == once
    assert set(EARLIER.model_dump(mode="json")) == {
        "candidates",
        "failures",
        "saturation",
        "usage",
        "recorded",
        "source",
    }
