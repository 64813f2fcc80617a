"""How far off heads are is asked where classes have an order, and there alone."""

import pytest
from sklearn.metrics import cohen_kappa_score

from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.metrics import Estimate
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import ordinal
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import published_study


def _exam(*, ordered: bool) -> Exam:
    published, test = published_study(noise=1.5)
    probe = train_heads(published, ProbeSpec(epochs=20, random_draws=2, heads=()))
    spec = EvaluateSpec(resamples=100, ordered=ordered)
    return Exam(published, probe, join_test_labels(published, test), spec)


def _known(estimate: Estimate | None) -> Estimate:
    assert estimate is not None
    return estimate


def test_every_head_has_its_kappa_and_the_bottleneck_its_lead_over_the_probe() -> None:
    exam = _exam(ordered=True)
    told = {m.head_kind: m for m in ordinal.measure(exam)}
    assert set(told) == {head.kind for head in exam.heads}
    for kind in (EXPLAINED, REFERENCE):
        said = exam.answers(kind).draws[0].argmax(axis=1)
        expected = cohen_kappa_score(exam.images.labels, said, weights="quadratic")
        kappa = _known(told[kind].kappa)
        assert kappa.value == pytest.approx(expected)
        assert kappa.low <= expected <= kappa.high
    own, other = (_known(told[kind].kappa).value for kind in (EXPLAINED, REFERENCE))
    assert _known(told[EXPLAINED].kappa_lead).value == pytest.approx(own - other)
    assert told[REFERENCE].kappa_lead is None
    assert _known(told["majority"].kappa).value == pytest.approx(0)


def test_classes_without_an_order_have_none() -> None:
    assert ordinal.measure(_exam(ordered=False)) == ()
    assert "ordered" not in EvaluateSpec().model_dump()
