"""Whether predicted mistakes order images better is told with an interval, or not at all."""

import pytest

from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import error_prediction
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import published_study


def _exam(noise: float) -> Exam:
    published, test = published_study(noise=noise)
    probe = train_heads(published, ProbeSpec(epochs=5, random_draws=1, heads=()))
    return Exam(published, probe, join_test_labels(published, test), EvaluateSpec(resamples=200))


def test_orders_are_compared_on_the_same_resamples_and_with_the_order_of_chance() -> None:
    exam = _exam(noise=3.0)
    found = error_prediction.measure(exam)
    assert {h.head for h in found.heads} == {
        exam.probe.head(kind).facts.name for kind in (EXPLAINED, REFERENCE)
    }
    for told in found.heads:
        difference = told.by_prediction.value - told.by_confidence.value
        assert told.difference.value == pytest.approx(difference)
        assert told.difference.low <= difference <= told.difference.high
        answers = next(h for h in exam.heads if h.name == told.head)
        wrong = answers.draws[0].argmax(1) != exam.images.labels
        assert told.in_any_order.value == pytest.approx(wrong.mean())
        assert told.mistakes < told.learned_from


def test_a_head_without_mistakes_leaves_nothing_to_learn_from() -> None:
    found = error_prediction.measure(_exam(noise=0.1))
    assert found.heads == ()
    assert all("a wrong decision and" in why for why in found.not_computable.values())
