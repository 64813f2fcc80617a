"""Proposing again: rounds are unrolled, cached, and end by themselves."""

from pathlib import Path
from typing import Any

import pytest

from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.appraisal import Appraisal
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.storage.store import ArtifactStore
from tests.builders.demo import DEMO, QUICK

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]

SMALL = (
    "dataset.source.images=240",
    "external=[]",
    "shifts=[]",
    "few_shots=null",
    "locate=null",
    *QUICK,
    "select.size=5",
    "propose.min_per_class=1",
    "propose.sources.0.aspects=[colour]",
)
IN_A_ROUND = ["propose", "embed_texts", "screen", "review", "select", "appraise"]


def _run(store: Path, *overrides: str, **options: Any) -> RunResult:
    return study(load_study(DEMO, [*SMALL, *overrides]), RunOptions(store=store, **options))


def _made(store: Path, result: RunResult, title: str, kind: Any) -> Any:
    ref: Ref[Any] = Ref.parse(next(s.ref for s in result.stages if s.title == title))
    return ArtifactStore(store).load(kind, ref)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> tuple[Path, RunResult]:
    store = tmp_path_factory.mktemp("rounds")
    return store, _run(store, "propose.rounds=2")


def test_each_round_is_run_under_its_own_title(done: tuple[Path, RunResult]) -> None:
    _, result = done
    titles = [s.title for s in result.stages]
    second = [f"{name} (round 2)" for name in IN_A_ROUND]
    start = titles.index("propose")
    assert titles[start : start + 13] == [*IN_A_ROUND, *second, "priors"]


def test_a_second_run_does_nothing(done: tuple[Path, RunResult]) -> None:
    store, first = done
    again = _run(store, "propose.rounds=2")
    assert {s.state for s in again.stages} == {"cached"}
    assert [s.ref for s in again.stages] == [s.ref for s in first.stages]


def test_the_first_round_is_what_a_single_one_would_be(done: tuple[Path, RunResult]) -> None:
    store, both = done
    alone = _run(store, until="publish")
    refs = {s.title: s.ref for s in both.stages}
    for stage in alone.stages:
        if stage.name in IN_A_ROUND or stage.name in ("ingest", "embed"):
            assert (stage.state, stage.ref) == ("cached", refs[stage.title])
    assert not any("round" in s.title or s.name == "appraise" for s in alone.stages)
    published = ArtifactStore(store).path(alone.made[ConceptDataset.kind])
    assert '"rounds"' not in (published / "facts.json").read_text()


def test_what_each_round_added_is_published_measured_and_told(done: tuple[Path, RunResult]) -> None:
    store, result = done
    rounds = _made(store, result, "appraise (round 2)", Appraisal).rounds
    assert [r.number for r in rounds] == [1, 2]
    published = _made(store, result, "publish", ConceptDataset)
    assert published.facts.rounds == rounds
    new = _made(store, result, "propose (round 2)", CandidateSet)
    assert sum(c.round == 2 for c in new.candidates) == rounds[1].proposed > 0
    taken = {c.concept_id for c in published.concepts}
    assert taken == set(rounds[1 if rounds[1].kept else 0].concepts)
    measured = _made(store, result, "evaluate", Evaluation).rounds
    assert [m.number for m in measured] == [r.number for r in rounds if r.kept]
    assert measured[0].gain is None
    assert measured[0].balanced_accuracy.low <= measured[0].balanced_accuracy.value
    page = Path(result.report or "").read_text()
    assert "What each round of asking added" in page
    assert "not kept" in page or rounds[1].kept


def test_a_run_can_end_with_a_stage_of_a_round(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    result = _run(store, "propose.rounds=2", until="screen (round 2)")
    assert result.stages[-1].title == "screen (round 2)"
    with pytest.raises(StudyError, match=r"`propose\.rounds` is 2"):
        _run(store, "propose.rounds=2", until="screen (round 3)")
    kept = _made(store, done[1], "appraise (round 2)", Appraisal).last.kept
    ended = _run(store, "propose.rounds=3", until="propose (round 3)").stages[-1]
    assert ended.title == ("propose (round 3)" if kept else "appraise (round 2)")


def test_only_the_round_that_is_named_is_repeated(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    result = _run(
        store, "propose.rounds=2", until="select (round 2)", refresh=("select (round 2)",)
    )
    assert [s.title for s in result.stages if s.state == "ran"] == ["select (round 2)"]
