"""For whom does it hold? Metrics by sex, age, site or skin tone.

Nobody may be recognised in a table: a value is named only if at least 10 independent groups
(people, lesions) carry it. Smaller ones are merged into "other", and hidden where that is still
too small; steps of a scale, such as skin types, join their neighbours instead ("IV to VI"). A
column that names images instead of grouping them is not used, and says why, unless
the study asks for it by name.

Metrics over classes are means over the classes a subgroup has, so two subgroups compare only as
far as they have the same ones: each line carries its number of classes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.metrics import MetricName
from curette.schemas.questions.subgroups import SubgroupMetric, SubgroupTables, WorstSubgroup
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.tasks.evaluate.answers import HeadAnswers
from curette.tasks.evaluate.exam import Exam, is_defined, with_doubt
from curette.tasks.methods.metadata import Subgroups
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Interval
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of
from curette.tasks.methods.subgroups import find_subgroups

_SHOWN: tuple[MetricName, ...] = ("accuracy", "balanced_accuracy", "macro_auroc")
_LOWER_IS_BETTER: tuple[MetricName, ...] = ("expected_calibration_error", "log_loss")


def measure(exam: Exam) -> SubgroupTables:
    """Return three metrics of two heads on every subgroup, and where each is worst."""
    spec, images = exam.spec, exam.images
    known = [str(c) for c in images.metadata.columns]
    wanted = known if spec.subgroup_columns is None else list(spec.subgroup_columns)
    used, unusable = find_subgroups(
        images.metadata[wanted],
        images.groups,
        spec.subgroup_edges,
        spec.smallest_subgroup,
        {*(spec.subgroup_columns or ()), *spec.subgroup_edges},
    )
    heads = exam.answers(EXPLAINED), exam.answers(REFERENCE)
    measured = [
        measure_subgroups(images.labels, head, column, exam.bootstrap, spec)
        for column in used
        for head in heads
    ]
    return SubgroupTables(
        smallest=spec.smallest_subgroup,
        metrics=tuple(line for lines, _ in measured for line in lines if line.name in _SHOWN),
        worst=tuple(line for _, worst in measured for line in worst if line.name in _SHOWN),
        unusable=unusable,
    )


def measure_subgroups(
    labels: Int[np.ndarray, " image"],
    head: HeadAnswers,
    subgroups: Subgroups,
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> tuple[list[SubgroupMetric], list[WorstSubgroup]]:
    """Return every defined metric on every subgroup, and the worst subgroup by each metric.

    In each resample the worst may be another one, so that its interval holds the doubt about which
    it is; the lowest of several noisy values lies too low, and more so the more subgroups there
    are.
    """
    count, metrics = len(subgroups.names), len(METRICS)
    measures = [metrics_by_subgroup_of(labels, p, subgroups.of_image, count) for p in head.draws]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        values = np.mean([measure(weights) for measure in measures], axis=0)
        together = np.concatenate([values, _worst(values)[:, None]], axis=1)
        return together.reshape(len(weights), -1)

    replicates = bootstrap.replicate(statistic, spec.interval)
    intervals = replicates.intervals(spec.interval, spec.confidence)
    lines = [
        SubgroupMetric(
            head=head.name,
            column=subgroups.column,
            subgroup=name,
            images=int(here.sum()),
            groups=groups,
            classes=len(np.unique(labels[here])),
            name=metric,
            **_numbers(with_doubt(metric, intervals[i * metrics + j], groups, spec.confidence)),
        )
        for i, name in enumerate(subgroups.names)
        for here in (subgroups.of_image == i,)
        for groups in (len(np.unique(bootstrap.membership[here])),)
        for j, metric in enumerate(METRICS)
        if is_defined(intervals[i * metrics + j])
    ]
    worst = [
        WorstSubgroup(
            head=head.name,
            column=subgroups.column,
            subgroup=next(
                name
                for i, name in enumerate(subgroups.names)
                if intervals[i * metrics + j].value == interval.value
            ),
            name=metric,
            **_numbers(interval),
        )
        for j, (metric, interval) in enumerate(
            zip(METRICS, intervals[count * metrics :], strict=True)
        )
        if is_defined(interval)
    ]
    return lines, worst


def _numbers(interval: Interval) -> dict[str, Any]:
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "method": interval.method,
    }


def metrics_by_subgroup_of(
    labels: Int[np.ndarray, " image"],
    probabilities: Float64[np.ndarray, "image class"],
    of_image: Int[np.ndarray, " image"],
    count: int,
) -> Callable[
    [Float64[np.ndarray, "resample image"]], Float64[np.ndarray, "resample subgroup metric"]
]:
    """Return what computes every metric on subgroup 0 .. count - 1; NaN where one has no image."""
    parts = [
        (i, here, metrics_of(labels[here], probabilities[here]))
        for i in np.unique(of_image[of_image >= 0])
        for here in [of_image == i]
    ]

    def measure(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample subgroup metric"]:
        values = np.full((len(weights), count, len(METRICS)), np.nan)
        for i, here, of_subgroup in parts:
            values[:, i] = of_subgroup(weights.T[here].T)
        return values

    return measure


def _worst(
    values: Float64[np.ndarray, "resample subgroup metric"],
) -> Float64[np.ndarray, "resample metric"]:
    sign = np.array([-1.0 if name in _LOWER_IS_BETTER else 1.0 for name in METRICS])
    lowest = np.where(np.isnan(values), np.inf, values * sign).min(1)
    return np.where(np.isinf(lowest), np.nan, lowest * sign)
