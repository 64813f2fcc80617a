"""Metrics by sex, age, site or skin tone: which columns can be used, and what they show.

Nobody may be recognised in a table: a value is named only if at least 10 independent groups
(people, lesions) carry it. Smaller ones are merged into "other", and hidden where that is still
too small. A column that names images instead of grouping them is not used, and says why, unless
the study asks for it by name.

Metrics over classes are means over the classes a subgroup has, so two subgroups compare only as
far as they have the same ones: each line carries its number of classes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Shaped

from curette.schemas.evaluation import IntervalMethod, MetricName
from curette.tasks.methods.metadata import (
    MOST_VALUES,
    Subgroups,
    UnusableColumn,
    names_single_images,
    read_column,
)
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Interval
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of

SMALLEST_SUBGROUP = 10  # independent groups
_OTHER = "other"
_LOWER_IS_BETTER: tuple[MetricName, ...] = ("expected_calibration_error", "log_loss")


# --- columns ---------------------------------------------------------------------------------


def find_subgroups(
    table: pd.DataFrame,
    groups: Shaped[np.ndarray, " image"],
    edges: Mapping[str, Sequence[float]],
    smallest: int = SMALLEST_SUBGROUP,
    asked_for: Collection[str] = (),
) -> tuple[tuple[Subgroups, ...], tuple[UnusableColumn, ...]]:
    """Return the subgroups of every usable column, and the columns that are not.

    Args:
        table: one row an image, metadata columns only.
        groups: images that are not independent share one.
        edges: column -> inner edges of its bins, rising; a value on an edge belongs above it.
            Without them an age is cut at 20, 40, 60 and 80, and any other column of more than 10
            different numbers at its quartiles, to three digits.
        smallest: how many groups a subgroup needs to be shown.
        asked_for: columns that are used even if they look like identifiers, such as `site_id`.
    """
    used, unusable = [], []
    for column in table.columns:
        if str(column) not in asked_for and names_single_images(str(column), table[column]):
            reason = "names single images instead of groups of them"
            unusable.append(UnusableColumn(str(column), reason))
            continue
        read = read_column(str(column), table[column], edges.get(str(column)))
        if isinstance(read, Subgroups):
            read = _merge_small(read, groups, smallest)
        if isinstance(read, Subgroups):
            used.append(read)
        else:
            unusable.append(read)
    return tuple(used), tuple(unusable)


def _merge_small(
    read: Subgroups, groups: Shaped[np.ndarray, " image"], smallest: int
) -> Subgroups | UnusableColumn:
    """Keep the largest subgroups, at most 12; merge the rest into "other" or hide it."""
    _, group_of = np.unique(groups, return_inverse=True)
    sizes = [len(np.unique(group_of[read.of_image == i])) for i in range(len(read.names))]
    largest = sorted(range(len(sizes)), key=lambda i: -sizes[i])[:MOST_VALUES]
    kept = [
        i for i in sorted(largest) if sizes[i] >= smallest and read.names[i].casefold() != _OTHER
    ]
    position = np.full(len(read.names), len(kept))
    position[kept] = np.arange(len(kept))
    of_image = position[read.of_image]
    names = tuple(read.names[i] for i in kept)
    if len(np.unique(group_of[of_image == len(kept)])) >= smallest:
        names = (*names, _OTHER)
    else:
        of_image = np.where(of_image == len(kept), -1, of_image)
    if len(names) < 2:
        return UnusableColumn(
            read.column, f"fewer than two values are carried by {smallest} independent groups"
        )
    return replace(read, names=names, of_image=of_image.astype(np.int64))


# --- metrics ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class SubgroupMetric:
    """One metric on one subgroup; `groups` and not those of the interval are its evidence."""

    column: str
    subgroup: str
    images: int
    groups: int
    classes: int
    metric: MetricName
    interval: Interval


@dataclass(frozen=True)
class WorstSubgroup:
    """The subgroup with the worst value, and the interval of the worst value.

    In each resample the worst may be another one, so that the interval holds the doubt about which
    it is; the lowest of several noisy values lies too low, and more so the more subgroups there
    are.
    """

    column: str
    subgroup: str
    metric: MetricName
    interval: Interval


def measure_subgroups(
    labels: Int[np.ndarray, " image"],
    draws: Sequence[Float64[np.ndarray, "image class"]],
    subgroups: Subgroups,
    bootstrap: ClusterBootstrap,
    method: IntervalMethod,
    confidence: float,
) -> tuple[tuple[SubgroupMetric, ...], tuple[WorstSubgroup, ...]]:
    """Return every defined metric on every subgroup, and the worst subgroup by each metric.

    Args:
        draws: probabilities of a head; of several random draws, to be averaged, where it has them.
    """
    count, metrics = len(subgroups.names), len(METRICS)
    measures = [metrics_by_subgroup_of(labels, p, subgroups.of_image, count) for p in draws]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        values = np.mean([measure(weights) for measure in measures], axis=0)
        together = np.concatenate([values, _worst(values)[:, None]], axis=1)
        return together.reshape(len(weights), -1)

    replicates = bootstrap.replicate(statistic, method)
    intervals = replicates.intervals(method, confidence)
    lines = [
        SubgroupMetric(
            column=subgroups.column,
            subgroup=name,
            images=int(here.sum()),
            groups=len(np.unique(bootstrap.membership[here])),
            classes=len(np.unique(labels[here])),
            metric=metric,
            interval=intervals[i * metrics + j],
        )
        for i, name in enumerate(subgroups.names)
        for here in (subgroups.of_image == i,)
        for j, metric in enumerate(METRICS)
    ]
    shown = tuple(line for line in lines if not isnan(line.interval.value))
    worst = tuple(
        WorstSubgroup(
            column=subgroups.column,
            subgroup=next(
                line.subgroup
                for line in shown
                if line.metric == metric and line.interval.value == interval.value
            ),
            metric=metric,
            interval=interval,
        )
        for metric, interval in zip(METRICS, intervals[count * metrics :], strict=True)
        if not isnan(interval.value)
    )
    return shown, worst


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
