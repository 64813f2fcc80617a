"""Every head's metrics with their intervals, and its lead over its baselines."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import get_args

import numpy as np
from jaxtyping import Float64

from curette.schemas.evaluation import (
    ConfidenceMetricName,
    DeLongTest,
    Difference,
    EvaluateSpec,
    HeadMetricName,
    Metric,
)
from curette.schemas.heads import card_of
from curette.tasks.evaluate.judging import ExaminedImages, Judged
from curette.tasks.methods.statistics.auroc import DeLong, delong_macro
from curette.tasks.methods.statistics.bootstrap import (
    ClusterBootstrap,
    Interval,
    Replicates,
    Statistic,
)
from curette.tasks.methods.statistics.calibration import debiased_calibration_error_of
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of
from curette.tasks.methods.statistics.selective import area_under_risk_coverage_of

HEAD_METRICS: tuple[HeadMetricName, ...] = (*METRICS, *get_args(ConfidenceMetricName))
_COMPARED: tuple[HeadMetricName, ...] = ("balanced_accuracy", "macro_auroc")


def measure_quality(
    images: ExaminedImages,
    judged: Sequence[Judged],
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> tuple[tuple[Metric, ...], tuple[Difference, ...]]:
    """Return every defined metric of every head, and the leads over the baselines.

    All heads are measured on the same resamples, which are drawn once. Where a head is several
    random draws, its metric is the mean over them within each resample, so that the interval is of
    what an arbitrary draw reaches on average.
    """
    measures = [[_measure(images, draw) for draw in j.draws] for j in judged]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        means = [np.mean([measure(weights) for measure in draws], axis=0) for draws in measures]
        return np.concatenate(means, axis=1)

    together = bootstrap.replicate(statistic, spec.interval)
    wide = len(HEAD_METRICS)
    replicates = [together.columns(slice(i * wide, (i + 1) * wide)) for i in range(len(judged))]
    metrics = (
        metric for pair in zip(judged, replicates, strict=True) for metric in _metrics(*pair, spec)
    )
    return tuple(metrics), tuple(_differences(images, judged, replicates, spec))


def is_defined(interval: Interval) -> bool:
    """Return whether an interval has a value and bounds; lost classes leave some without."""
    return not any(isnan(v) for v in (interval.value, interval.low, interval.high))


def _measure(images: ExaminedImages, draw: Float64[np.ndarray, "image class"]) -> Statistic:
    """Return what computes `HEAD_METRICS`, in that order, for every weighting."""
    parts = (
        metrics_of(images.labels, draw),
        debiased_calibration_error_of(images.labels, draw, images.groups),
        area_under_risk_coverage_of(images.labels, draw),
    )
    return lambda weights: np.column_stack([part(weights) for part in parts])


def _metrics(judged: Judged, replicates: Replicates, spec: EvaluateSpec) -> Iterator[Metric]:
    intervals = replicates.intervals(spec.interval, spec.confidence)
    for name, interval in zip(HEAD_METRICS, intervals, strict=True):
        if is_defined(interval):
            yield Metric(
                head=judged.name,
                head_kind=judged.kind,
                nec=judged.nec,
                name=name,
                value=interval.value,
                low=interval.low,
                high=interval.high,
                method=interval.method,
            )


def _differences(
    images: ExaminedImages,
    judged: Sequence[Judged],
    replicates: Sequence[Replicates],
    spec: EvaluateSpec,
) -> Iterator[Difference]:
    """Yield each head's lead over its baselines, on the same resamples."""
    areas = _areas(images, judged)
    for head, baseline in _pairs(judged):
        lead = replicates[head] - replicates[baseline]
        intervals = lead.intervals(spec.interval, spec.confidence)
        for name, interval in zip(HEAD_METRICS, intervals, strict=True):
            if name in _COMPARED and is_defined(interval):
                tested = areas if name == "macro_auroc" else None
                yield Difference(
                    head=judged[head].name,
                    baseline=judged[baseline].name,
                    name=name,
                    value=interval.value,
                    low=interval.low,
                    high=interval.high,
                    method=interval.method,
                    delong=_test(tested, head, baseline, spec.confidence) if tested else None,
                )


def _pairs(judged: Sequence[Judged]) -> Iterator[tuple[int, int]]:
    """Yield each head and each of its baselines that was trained, the one nearest in NEC."""
    for head, j in enumerate(judged):
        for kind in card_of(j.kind).baselines:
            of_kind = [i for i, other in enumerate(judged) if other.kind == kind]
            if of_kind:
                yield head, min(of_kind, key=lambda i: abs(judged[i].nec - j.nec))


def _areas(images: ExaminedImages, judged: Sequence[Judged]) -> DeLong | None:
    """Return the AUROC of every head by DeLong; None where a class has too few images for it.

    A head of several draws is their mean, so with A the matrix that averages, the covariance of
    all draws becomes A covariance A^T.
    """
    counts = np.bincount(images.labels)
    if min(counts[counts > 0].min(), len(images.labels) - counts.max()) < 2:
        return None
    draws = np.stack([draw for j in judged for draw in j.draws])
    head_of_draw = np.repeat(np.arange(len(judged)), [len(j.draws) for j in judged])
    averages = (head_of_draw == np.arange(len(judged))[:, None]).astype(np.float64)
    averages /= averages.sum(1, keepdims=True)
    of_draws = delong_macro(images.labels, draws, images.groups)
    return DeLong(averages @ of_draws.value, averages @ of_draws.covariance @ averages.T)


def _test(areas: DeLong, head: int, baseline: int, confidence: float) -> DeLongTest | None:
    found = areas.compare(head, baseline, confidence)
    if isnan(found.p_value):
        return None
    return DeLongTest(low=found.low, high=found.high, p_value=found.p_value)
