"""What every head answers about the test images, and all metrics of it on the same resamples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Float64

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import ConfidenceMetricName, HeadMetricName, IntervalMethod
from curette.schemas.probe import Heads
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Replicates, Statistic
from curette.tasks.methods.statistics.calibration import (
    at_temperature,
    debiased_calibration_error_of,
)
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of
from curette.tasks.methods.statistics.selective import area_under_risk_coverage_of

HEAD_METRICS: tuple[HeadMetricName, ...] = (*METRICS, *get_args(ConfidenceMetricName))


@dataclass(frozen=True, eq=False)
class HeadAnswers:
    """A head, or several random draws taken as one, and its probabilities of the test images."""

    name: str
    kind: HeadKind
    nec: float
    """Number of effective concepts, the mean over draws."""
    draws: tuple[Float64[np.ndarray, "image class"], ...]


def answers_of(
    probe: Heads, logits: Mapping[str, Float64[np.ndarray, "image class"]]
) -> Iterator[HeadAnswers]:
    """Yield one entry a family of heads, in the order in which the probe names them.

    Args:
        probe: the heads.
        logits: of every head, by its name.
    """
    for family, heads in probe.families.items():
        yield HeadAnswers(
            name=family if len(heads) == 1 else f"{family} (mean of {len(heads)})",
            kind=heads[0].facts.kind,
            nec=float(np.mean([h.facts.nec for h in heads])),
            draws=tuple(at_temperature(logits[h.facts.name], 1.0) for h in heads),
        )


def replicate_metrics(
    images: ExaminedImages,
    heads: Sequence[HeadAnswers],
    bootstrap: ClusterBootstrap,
    method: IntervalMethod,
) -> list[Replicates]:
    """Return `HEAD_METRICS` of every head on the same resamples, which are drawn once.

    Where a head is several random draws, its metric is the mean over them within each resample, so
    that the interval is of what an arbitrary draw reaches on average.
    """
    measures = [[_measure(images, draw) for draw in head.draws] for head in heads]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        means = [np.mean([measure(weights) for measure in draws], axis=0) for draws in measures]
        return np.concatenate(means, axis=1)

    together = bootstrap.replicate(statistic, method)
    wide = len(HEAD_METRICS)
    return [together.columns(slice(i * wide, (i + 1) * wide)) for i in range(len(heads))]


def _measure(images: ExaminedImages, draw: Float64[np.ndarray, "image class"]) -> Statistic:
    """Return what computes `HEAD_METRICS`, in that order, for every weighting."""
    parts = (
        metrics_of(images.labels, draw),
        debiased_calibration_error_of(images.labels, draw, images.groups),
        area_under_risk_coverage_of(images.labels, draw),
    )
    return lambda weights: np.column_stack([part(weights) for part in parts])
