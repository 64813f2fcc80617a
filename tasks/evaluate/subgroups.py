"""Metrics by sex, age, site or skin tone: which columns can be used, and what they show.

Nobody may be recognised in a table: a value is named only if at least 10 independent groups
(people, lesions) carry it. Smaller ones are merged into "other", and hidden where that is still
too small. A column that names images instead of grouping them is not used, and says why.

Metrics over classes are means over the classes a subgroup has, so two subgroups compare only as
far as they have the same ones: each line carries its number of classes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isnan

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Shaped

from schemas.evaluation import IntervalMethod, MetricName
from tasks.evaluate.bootstrap import ClusterBootstrap, Interval
from tasks.evaluate.metrics import METRICS, all_metrics

SMALLEST_SUBGROUP = 10  # independent groups
_MOST_SUBGROUPS = 12
_MOST_NUMBERS = 10  # distinct numbers that are still categories, such as skin types 1 to 6
_AGE_EDGES = (20.0, 40.0, 60.0, 80.0)
_NOT_STATED, _OTHER = "not stated", "other"
_MISSING = {"", "n/a", "na", "nan", "null", "unknown", _NOT_STATED}
_LOWER_IS_BETTER: tuple[MetricName, ...] = ("expected_calibration_error", "log_loss")


@dataclass(frozen=True, eq=False)
class Subgroups:
    """The images of each value or bin of one metadata column."""

    column: str
    names: tuple[str, ...]
    of_image: Int[np.ndarray, " image"]
    """Index into `names`; -1 where the subgroup is too small to be shown."""


@dataclass(frozen=True)
class UnusableColumn:
    """A column without subgroups, and why."""

    column: str
    reason: str


# --- columns ---------------------------------------------------------------------------------


def find_subgroups(
    table: pd.DataFrame,
    groups: Shaped[np.ndarray, " image"],
    edges: Mapping[str, Sequence[float]],
    smallest: int = SMALLEST_SUBGROUP,
) -> tuple[tuple[Subgroups, ...], tuple[UnusableColumn, ...]]:
    """Return the subgroups of every usable column, and the columns that are not.

    Args:
        table: one row an image, metadata columns only.
        groups: images that are not independent share one.
        edges: column -> inner edges of its bins, rising; a value on an edge belongs above it.
            Without them an age is cut at 20, 40, 60 and 80, and any other column of more than 10
            different numbers at its quartiles, to three digits.
        smallest: how many groups a subgroup needs to be shown.
    """
    used, unusable = [], []
    for column in table.columns:
        read = read_column(str(column), table[column], edges.get(str(column)))
        if isinstance(read, Subgroups):
            read = _merge_small(read, groups, smallest)
        if isinstance(read, Subgroups):
            used.append(read)
        else:
            unusable.append(read)
    return tuple(used), tuple(unusable)


def read_column(
    column: str, values: pd.Series, edges: Sequence[float] | None
) -> Subgroups | UnusableColumn:
    """Return every value or bin of a column, however small; missing values are "not stated"."""
    text = values.astype("string").str.strip()
    missing = (values.isna() | text.str.casefold().isin(_MISSING)).to_numpy(dtype=bool)
    stated = values[~missing]
    if "id" in _words(column) or (
        not _is_numeric(stated) and stated.nunique() > max(_MOST_SUBGROUPS, len(stated) / 2)
    ):
        return UnusableColumn(column, "names single images instead of groups of them")
    if edges is not None or (_is_numeric(stated) and stated.nunique() > _MOST_NUMBERS):
        names, of_stated = _binned(column, pd.to_numeric(stated).to_numpy(np.float64), edges)
    else:
        names, of_stated = _categories(stated)
    of_image = np.full(len(values), len(names))
    of_image[~missing] = of_stated
    return Subgroups(column, (*names, _NOT_STATED), of_image)


def _words(column: str) -> set[str]:
    return set(re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", column).casefold()))


def _is_numeric(stated: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(stated):
        return False
    return bool(pd.to_numeric(stated, errors="coerce").notna().all())


def _categories(stated: pd.Series) -> tuple[tuple[str, ...], Int[np.ndarray, " stated"]]:
    if pd.api.types.is_bool_dtype(stated):
        stated = stated.map({True: "yes", False: "no"})
    elif _is_numeric(stated):
        stated = pd.to_numeric(stated)
    else:
        stated = stated.astype("string").str.strip()
    found, of_stated = np.unique(stated.to_numpy(), return_inverse=True)
    names = tuple(f"{v:g}" if isinstance(v, int | float | np.number) else str(v) for v in found)
    return names, of_stated.astype(np.int64)


def _binned(
    column: str, stated: Float64[np.ndarray, " stated"], edges: Sequence[float] | None
) -> tuple[tuple[str, ...], Int[np.ndarray, " stated"]]:
    if edges is None and "age" in _words(column):
        edges = _AGE_EDGES
    elif edges is None:
        edges = sorted({float(f"{cut:.3g}") for cut in np.quantile(stated, [0.25, 0.5, 0.75])})
    whole = bool((stated == np.rint(stated)).all() and (np.rint(edges) == edges).all())
    names = (
        f"under {edges[0]:g}",
        *(_between(low, high, whole) for low, high in pairwise(edges)),
        f"{edges[-1]:g} and over",
    )
    return names, np.searchsorted(np.asarray(edges), stated, side="right")


def _between(low: float, high: float, whole: bool) -> str:
    if whole:
        return f"{low:g}" if high == low + 1 else f"{low:g} to {high - 1:g}"
    return f"{low:g} to under {high:g}"


def _merge_small(
    read: Subgroups, groups: Shaped[np.ndarray, " image"], smallest: int
) -> Subgroups | UnusableColumn:
    """Keep the largest subgroups, at most 12; merge the rest into "other" or hide it."""
    _, group_of = np.unique(groups, return_inverse=True)
    sizes = [len(np.unique(group_of[read.of_image == i])) for i in range(len(read.names))]
    largest = sorted(range(len(sizes)), key=lambda i: -sizes[i])[:_MOST_SUBGROUPS]
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

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        values = np.mean(
            [metrics_by_subgroup(labels, p, subgroups.of_image, count, weights) for p in draws],
            axis=0,
        )
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


def metrics_by_subgroup(
    labels: Int[np.ndarray, " image"],
    probabilities: Float64[np.ndarray, "image class"],
    of_image: Int[np.ndarray, " image"],
    count: int,
    weights: Float64[np.ndarray, "resample image"],
) -> Float64[np.ndarray, "resample {count} metric"]:
    """Return every metric on the images of subgroup 0 .. count - 1; NaN where one has none."""
    values = np.full((len(weights), count, len(METRICS)), np.nan)
    for i in np.unique(of_image[of_image >= 0]):
        here = of_image == i
        values[:, i] = all_metrics(labels[here], probabilities[here], weights[:, here])
    return values


def _worst(
    values: Float64[np.ndarray, "resample subgroup metric"],
) -> Float64[np.ndarray, "resample metric"]:
    sign = np.array([-1.0 if name in _LOWER_IS_BETTER else 1.0 for name in METRICS])
    lowest = np.where(np.isnan(values), np.inf, values * sign).min(1)
    return np.where(np.isinf(lowest), np.nan, lowest * sign)
