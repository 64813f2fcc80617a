"""Strategies of the concept bottleneck are told of validation images, whatever the test says."""

from dataclasses import replace

import pytest

from curette.schemas.evaluation import Strategies
from curette.schemas.images import TestLabels
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import strategies
from tests.builders.published_study import published_study


@pytest.fixture(scope="module")
def exam() -> Exam:
    from curette.tasks.probe.training import train_heads

    published, test = published_study(noise=1.5)
    probe = train_heads(published, ProbeSpec(epochs=80, random_draws=1, nec=(1,)))
    return Exam(published, probe, join_test_labels(published, test), EvaluateSpec(resamples=100))


@pytest.fixture(scope="module")
def told(exam: Exam) -> Strategies:
    return strategies.measure(exam)


def test_every_validation_image_is_decided_by_one_concept(exam: Exam, told: Strategies) -> None:
    assert sum(s.images for s in told.strategies) == len(exam.published.rows("validation"))
    for key in {s.class_key for s in told.strategies}:
        shares = [s.prevalence.value for s in told.strategies if s.class_key == key]
        assert sum(shares) == pytest.approx(1)
        assert shares == sorted(shares, reverse=True)


def test_examples_are_validation_images(exam: Exam, told: Strategies) -> None:
    images = exam.published.images
    of_validation = set(images.loc[images["split"] == "validation", "image_id"])
    assert {i for s in told.strategies for i in s.examples} <= of_validation


def test_no_test_label_is_looked_at(exam: Exam, told: Strategies) -> None:
    published = exam.published
    first = published.class_keys[0]
    ids = published.images["image_id"].to_numpy()[exam.rows]
    other = TestLabels(labels=dict.fromkeys(map(str, ids), first))
    again = replace(exam, images=join_test_labels(published, other))
    assert strategies.measure(again) == told
