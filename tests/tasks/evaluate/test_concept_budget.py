"""The curve over numbers of concepts: nested, in order, and trained without a test label."""

from dataclasses import replace

import numpy as np
import pytest

from curette.schemas.images import TestLabels
from curette.schemas.questions.concept_budget import ConceptBudget
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
    called = Learner.of(exam).answers_by(own[None])[0].argmax(axis=1)
    labels = exam.images.labels
    accuracy = np.mean([(called[labels == k] == k).mean() for k in np.unique(labels)])
    assert told.reached is not None
    assert told.reached.value == pytest.approx(accuracy)


def test_the_heads_are_trained_without_a_test_label(exam: Exam) -> None:
    published = exam.published
    ids = published.images["image_id"].to_numpy()[exam.rows]
    other = TestLabels(labels=dict.fromkeys(map(str, ids), published.class_keys[0]))
    again = replace(exam, images=join_test_labels(published, other))
    one, two = (Learner.of(e).answers_by(published.pool_vectors[None]) for e in (exam, again))
    assert (one == two).all()
