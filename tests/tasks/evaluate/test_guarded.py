"""What an evaluation through the reusable holdout tells, and what it keeps."""

from functools import partial
from pathlib import Path

import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import GuardedEvaluation
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads
from curette.schemas.readings import HoldoutCharge
from curette.schemas.settings.evaluate import EvaluateSpec, ThresholdoutSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.storage.ledger import TestLedger
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.guarded import evaluate_through_holdout
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import metrics
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import KEYS, published_study

SPEC = EvaluateSpec(resamples=100)
LABELS = "a" * 64
WIDE = ThresholdoutSpec(threshold=0.9, noise=1e-6)
NARROW = ThresholdoutSpec(threshold=1e-9, noise=1e-9, budget=4)


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, TestLabels]:
    return published_study(noise=1.5)


@pytest.fixture(scope="module")
def probe(study: tuple[ConceptDataset, TestLabels]) -> Heads:
    return train_heads(study[0], ProbeSpec(epochs=20, random_draws=2, nec=(1,)))


def _ask(
    study: tuple[ConceptDataset, TestLabels],
    probe: Heads,
    guard: ThresholdoutSpec,
    test: TestLabels,
) -> tuple[GuardedEvaluation, HoldoutCharge]:
    return evaluate_through_holdout(study[0], probe, test, SPEC, guard, "q", (), 1, ())


def test_where_validation_and_test_agree_nothing_of_the_test_is_told(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    first = KEYS[0]
    others = TestLabels(labels=dict.fromkeys(study[1].labels, first))
    told, charge = _ask(study, probe, WIDE, study[1])
    of_others, _ = _ask(study, probe, WIDE, others)
    assert told.answers == of_others.answers
    assert {a.source for a in told.answers} == {"validation"}
    assert (charge.asked, charge.spent, told.remaining) == (len(told.answers), 0, WIDE.budget)


def test_where_they_part_the_test_is_told_until_the_budget_is_spent(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    told, charge = _ask(study, probe, NARROW, study[1])
    in_full = {
        m.head.partition(" (mean")[0]: m.value
        for m in metrics.measure(Exam(study[0], probe, join_test_labels(*study), SPEC))
        if m.name == "balanced_accuracy"
    }
    of_test = [a for a in told.answers if a.source == "test"]
    assert len(of_test) == charge.spent == NARROW.budget
    assert [a.value for a in of_test] == pytest.approx([in_full[a.head] for a in of_test], abs=1e-6)
    refused = [a for a in told.answers if a.source == "refused"]
    assert refused
    assert all(a.value is None for a in refused)
    assert told.remaining == 0


def test_the_same_question_costs_once_and_others_share_the_budget(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, tmp_path: Path
) -> None:
    ledger = TestLedger(tmp_path)

    def ask(question: str) -> GuardedEvaluation:
        asked = partial(
            evaluate_through_holdout, *study[:1], probe, study[1], SPEC, NARROW, question, ()
        )
        return ledger.charge(LABELS, question, asked)

    first = ask("first")
    assert ask("first") == first
    assert {a.source for a in ask("second").answers} <= {"validation", "refused"}
    assert ask("first") == first
    charges = (tmp_path / "test-looks" / f"{LABELS}.charges").read_text().split()
    assert len(charges) == 2


def test_a_study_with_looser_settings_is_refused(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    _, charge = _ask(study, probe, WIDE, study[1])
    larger = WIDE.model_copy(update={"budget": 999})
    with pytest.raises(StudyError, match=r"by-hand asked these .* first, with threshold 0\.9"):
        evaluate_through_holdout(study[0], probe, study[1], SPEC, larger, "other", (), 1, (charge,))


def test_how_much_one_image_shows_is_told(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    told, _ = _ask(study, probe, WIDE, study[1])
    rarest = min(list(study[1].labels.values()).count(key) for key in KEYS)
    assert told.one_image == pytest.approx(1 / (len(KEYS) * rarest))


def test_the_noise_is_a_secret_of_the_store(tmp_path: Path) -> None:
    seeds: list[int] = []

    def ask(seed: int, charges: tuple[HoldoutCharge, ...]) -> tuple[None, HoldoutCharge]:
        seeds.append(seed)
        return None, HoldoutCharge(
            question=str(len(charges)), study="skin", settings=WIDE, asked=1, spent=0
        )

    for root, question in (("a", "1"), ("a", "2"), ("b", "1")):
        TestLedger(tmp_path / root).charge(LABELS, question, ask)
    assert seeds[0] == seeds[1] != seeds[2]
    file = tmp_path / "a" / "test-looks" / f"{LABELS}.seed"
    assert file.stat().st_mode & 0o077 == 0
