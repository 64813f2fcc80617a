"""Strategies of the concept bottleneck are told of validation images, whatever the test says."""

from dataclasses import replace

import pytest

from curette.schemas.heads import EXPLAINED
from curette.schemas.images import TestLabels
from curette.schemas.questions.strategies import Strategies
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


def _with_test_labels(exam: Exam, labels: dict[str, str]) -> Exam:
    return replace(exam, images=join_test_labels(exam.published, TestLabels(labels=labels)))


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


def test_no_strategy_is_told_by_a_test_label(exam: Exam, told: Strategies) -> None:
    other = dict.fromkeys(exam.images.ids, exam.published.class_keys[0])
    again = strategies.measure(_with_test_labels(exam, other))
    assert again.strategies == told.strategies


def test_reliability_foretells_test_images_as_pairs_counted_by_hand_do(
    exam: Exam, told: Strategies
) -> None:
    head = exam.probe.head(EXPLAINED)
    features = exam.features(head)
    called = head.logits(features).argmax(axis=1)
    reliability = {
        (s.class_key, s.text): s.reliability.value for s in told.strategies if s.reliability
    }
    known, right = [], []
    for i, k in enumerate(called):
        added = head.contributions(features[i])
        decides = int((added[k] - added.mean(axis=0)).argmax())
        pair = exam.published.class_keys[k], head.facts.candidates[decides].text
        if pair in reliability:
            known.append(reliability[pair])
            right.append(bool(k == exam.images.labels[i]))
    pairs = [
        1.0 if r > w else 0.5 if r == w else 0.0
        for r, is_right in zip(known, right, strict=True)
        for w, is_wrong in zip(known, right, strict=True)
        if is_right and not is_wrong
    ]
    foretold = told.foretold
    assert foretold is not None
    assert foretold.images == len(known)
    assert foretold.images + foretold.others == len(exam.rows)
    assert foretold.strategy.value == pytest.approx(sum(pairs) / len(pairs))


def test_nothing_is_foretold_where_every_test_image_is_right(exam: Exam) -> None:
    head = exam.probe.head(EXPLAINED)
    called = head.logits(exam.features(head)).argmax(axis=1)
    keys = [exam.published.class_keys[k] for k in called]
    all_right = dict(zip(exam.images.ids, keys, strict=True))
    assert strategies.measure(_with_test_labels(exam, all_right)).foretold is None
