"""How far is each head ahead of its baselines?"""

from collections.abc import Iterator, Sequence
from math import isnan

import numpy as np

from curette.schemas.heads import card_of
from curette.schemas.metrics import HeadMetricName
from curette.schemas.questions.differences import DeLongTest, Difference
from curette.tasks.evaluate.answers import HEAD_METRICS, HeadAnswers
from curette.tasks.evaluate.exam import Exam, is_defined
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.methods.statistics.auroc import DeLong, delong_macro

_COMPARED: tuple[HeadMetricName, ...] = ("balanced_accuracy", "macro_auroc")


def measure(exam: Exam) -> tuple[Difference, ...]:
    """Return each head's lead over its baselines, on the same resamples."""
    return tuple(_differences(exam))


def _differences(exam: Exam) -> Iterator[Difference]:
    areas = _areas(exam.images, exam.heads)
    method, confidence = exam.spec.interval, exam.spec.confidence
    for head, baseline in _pairs(exam.heads):
        lead = exam.replicates[head] - exam.replicates[baseline]
        for name, interval in zip(HEAD_METRICS, lead.intervals(method, confidence), strict=True):
            if name in _COMPARED and is_defined(interval):
                tested = areas if name == "macro_auroc" else None
                yield Difference(
                    head=exam.heads[head].name,
                    baseline=exam.heads[baseline].name,
                    name=name,
                    value=interval.value,
                    low=interval.low,
                    high=interval.high,
                    method=interval.method,
                    delong=_test(tested, head, baseline, confidence) if tested else None,
                )


def _pairs(heads: Sequence[HeadAnswers]) -> Iterator[tuple[int, int]]:
    """Yield each head and each of its baselines that was trained, the one nearest in NEC."""
    for number, head in enumerate(heads):
        for kind in card_of(head.kind).baselines:
            of_kind = [i for i, other in enumerate(heads) if other.kind == kind]
            if of_kind:
                yield number, min(of_kind, key=lambda i: abs(heads[i].nec - head.nec))


def _areas(images: ExaminedImages, heads: Sequence[HeadAnswers]) -> DeLong | None:
    """Return the AUROC of every head by DeLong; None where a class has too few images for it.

    A head of several draws is their mean, so with A the matrix that averages, the covariance of
    all draws becomes A covariance A^T.
    """
    counts = np.bincount(images.labels)
    if min(counts[counts > 0].min(), len(images.labels) - counts.max()) < 2:
        return None
    draws = np.stack([draw for head in heads for draw in head.draws])
    head_of_draw = np.repeat(np.arange(len(heads)), [len(head.draws) for head in heads])
    averages = (head_of_draw == np.arange(len(heads))[:, None]).astype(np.float64)
    averages /= averages.sum(1, keepdims=True)
    of_draws = delong_macro(images.labels, draws, images.groups)
    return DeLong(averages @ of_draws.value, averages @ of_draws.covariance @ averages.T)


def _test(areas: DeLong, head: int, baseline: int, confidence: float) -> DeLongTest | None:
    found = areas.compare(head, baseline, confidence)
    if isnan(found.p_value):
        return None
    return DeLongTest(low=found.low, high=found.high, p_value=found.p_value)
