"""The curve over numbers of concepts: nested, in order, and trained without a test label."""

from dataclasses import replace

import numpy as np
import pytest

from curette.schemas.images import TestLabels
from curette.schemas.metrics import Estimate
from curette.schemas.questions.concept_budget import BudgetLine, BudgetPoint, ConceptBudget
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import concept_budget
from curette.tasks.evaluate.questions.concept_budget import Learner
from tests.builders.published_study import published_study


@pytest.fixture(scope="module")
def exam() -> Exam:
    from curette.tasks.probe.training import train_heads

    published, test = published_study(noise=1.5)
    probe = train_heads(published, ProbeSpec(epochs=10, random_draws=1, heads=()))
    return Exam(published, probe, join_test_labels(published, test), EvaluateSpec(resamples=100))


@pytest.fixture(scope="module")
def told(exam: Exam) -> ConceptBudget:
    budget = concept_budget.measure(exam)
    assert budget is not None
    return budget


def test_every_way_is_measured_at_every_size_and_all_of_them_once(
    exam: Exam, told: ConceptBudget
) -> None:
    most = len(exam.published.pool)
    assert {line.name: line.draws for line in told.lines} == {
        "selected": 1,
        "labo": 1,
        "random": 20,
        "random directions": 5,
        "all": 1,
    }
    sizes = [p.concepts for p in told.line("selected").points]
    assert sizes == sorted({s for s in (1, 2, 3, 5, 8, 12, 20, 40, told.chosen) if s < most})
    assert [p.concepts for p in told.line("all").points] == [most]
    assert told.chosen == len(exam.published.concepts)


def test_a_point_is_what_its_head_answers(exam: Exam, told: ConceptBudget) -> None:
    published = exam.published
    own = published.pool_vectors[published.pool_rows(c.concept_id for c in published.concepts)]
    called = Learner.of(exam).answers_by(own).argmax(axis=1)
    labels = exam.images.labels
    accuracy = np.mean([(called[labels == k] == k).mean() for k in np.unique(labels)])
    assert told.reached is not None
    assert told.reached.value == pytest.approx(accuracy)


def test_the_heads_are_trained_without_a_test_label(exam: Exam) -> None:
    published = exam.published
    ids = published.images["image_id"].to_numpy()[exam.rows]
    other = TestLabels(labels=dict.fromkeys(map(str, ids), published.class_keys[0]))
    again = replace(exam, images=join_test_labels(published, other))
    one, two = (Learner.of(e).answers_by(published.pool_vectors) for e in (exam, again))
    assert (one == two).all()


def _budget(
    lead: float, random: tuple[float, ...], reached: float = 0.8, wide: float = 0.05
) -> ConceptBudget:
    def at(concepts: int, value: float) -> BudgetPoint:
        estimate = Estimate(value=value, low=value - 0.1, high=value + 0.1)
        return BudgetPoint(
            concepts=concepts, balanced_accuracy=estimate, macro_auroc=value, lowest=0, highest=1
        )

    lines = (
        BudgetLine(name="selected", draws=1, points=(at(8, reached),)),
        BudgetLine(name="random", draws=20, points=tuple(map(at, (8, 12, 20), random))),
    )
    estimate = Estimate(value=lead, low=lead - wide, high=lead + wide)
    return ConceptBudget(
        chosen=8,
        lines=lines,
        black_box=Estimate(value=reached - lead, low=0, high=1),
        lead_over_black_box=estimate,
        lead_over_random=estimate,
        area_over_random=estimate,
        area_over_labo=estimate,
    )


@pytest.mark.parametrize(
    ("lead", "wide", "random", "against_box", "against_random"),
    [
        (0.01, 0.02, (0.6, 0.7, 0.81), "8 statements decide as well as a", "it takes 20 random"),
        (0.1, 0.05, (0.8, 0.8, 0.8), "8 statements decide better than a", "choosing them helps."),
        (-0.1, 0.05, (0.1, 0.2, 0.3), "8 statements decide less well than a", "does harm; no num"),
        (-0.12, 0.14, (0.9, 0.9, 0.9), "8 statements may decide as well as a", "nothing shows"),
    ],
)
def test_the_sentences_say_what_the_curve_comes_to(
    lead: float, wide: float, random: tuple[float, ...], against_box: str, against_random: str
) -> None:
    first, second = _budget(lead, random, wide=wide).sentences
    assert first.startswith(against_box)
    assert f"a difference of {lead:+.3f} [{lead - wide:+.3f}, {lead + wide:+.3f}]." in first
    assert against_random in second
    assert second.startswith(f"As many drawn at random reach {0.8 - lead:.3f}")
