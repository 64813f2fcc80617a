"""For whom does it hold? Metrics by sex, age, site or skin tone.

Nobody may be recognised in a table: a value is named only if at least 10 independent groups
(people, lesions) carry it. Smaller ones are merged into "other", and hidden where that is still
too small; steps of a scale, such as skin types, join their neighbours instead ("IV to VI"). A
column that names images instead of grouping them is not used, and says why, unless
the study asks for it by name.

Metrics over classes are means over the classes a subgroup has, so two subgroups compare only as
far as they have the same ones: each line carries its number of classes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Shaped

from curette.schemas.evaluation import (
    MetricName,
    SubgroupMetric,
    SubgroupTables,
    UnusableColumn,
    WorstSubgroup,
)
from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.tasks.evaluate.answers import HeadAnswers
from curette.tasks.evaluate.exam import Exam, is_defined
from curette.tasks.methods import metadata
from curette.tasks.methods.metadata import (
    MOST_VALUES,
    Subgroups,
    names_single_images,
    read_column,
)
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Interval
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of

SMALLEST_SUBGROUP = 10  # independent groups
_OTHER = "other"
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
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
            unusable.append(UnusableColumn(column=str(column), reason=reason))
            continue
        read = read_column(str(column), table[column], edges.get(str(column)))
        if isinstance(read, Subgroups):
            read = _merge_small(read, groups, smallest)
        if isinstance(read, Subgroups):
            used.append(read)
        else:
            unusable.append(UnusableColumn(column=read.column, reason=read.reason))
    return tuple(used), tuple(unusable)


def _merge_small(
    read: Subgroups, groups: Shaped[np.ndarray, " image"], smallest: int
) -> Subgroups | metadata.UnusableColumn:
    """Keep the largest subgroups, at most 12; merge the rest into "other" or hide it.

    Small steps of a scale, such as skin types, join their neighbours first: the ends of a scale
    are what readers look for.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    read = _join_steps(read, group_of, smallest)
    sizes = _sizes(read, group_of)
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
        return metadata.UnusableColumn(
            read.column, f"fewer than two values are carried by {smallest} independent groups"
        )
    return replace(read, names=names, of_image=of_image.astype(np.int64))


def _sizes(read: Subgroups, group_of: Int[np.ndarray, " image"]) -> list[int]:
    """Return how many groups carry each value."""
    return [len(np.unique(group_of[read.of_image == i])) for i in range(len(read.names))]


def _join_steps(read: Subgroups, group_of: Int[np.ndarray, " image"], smallest: int) -> Subgroups:
    """Join steps of a scale that too few groups carry with the smaller of their neighbours.

    A scale is Roman numerals in their order, or whole numbers; its joined steps are called `IV to
    VI`. Whatever else stands in the column, such as "not stated", is left as it is.
    """
    steps = [i for i, name in enumerate(read.names) if _step(name) is not None]
    steps.sort(key=lambda i: _step(read.names[i]) or 0)
    others = len(read.names) - len(steps)  # such as what is not stated
    if others > 1 or len(steps) > len(_ROMAN) or read.column.casefold().endswith("id"):
        return read
    runs = [[i] for i in steps]

    def size(run: list[int]) -> int:
        return len(np.unique(group_of[np.isin(read.of_image, run)]))

    while len(runs) > 1 and min(map(size, runs)) < smallest:
        at = min(range(len(runs)), key=lambda k: size(runs[k]))
        beside = min(
            (k for k in (at - 1, at + 1) if 0 <= k < len(runs)), key=lambda k: size(runs[k])
        )
        first, second = sorted((at, beside))
        runs[first : second + 1] = [runs[first] + runs[second]]
    rest = [[i] for i in range(len(read.names)) if i not in steps]
    joined = [*runs, *rest]
    names = tuple(
        read.names[run[0]] if len(run) == 1 else f"{read.names[run[0]]} to {read.names[run[-1]]}"
        for run in joined
    )
    of_image = np.full_like(read.of_image, -1)
    for k, run in enumerate(joined):
        of_image[np.isin(read.of_image, run)] = k
    return replace(read, names=names, of_image=of_image)


def _step(name: str) -> int | None:
    """Return which step of a scale a name is; None where it is none."""
    if name.isdecimal():
        return int(name)
    return _ROMAN.index(name) + 1 if name in _ROMAN else None


# --- metrics ---------------------------------------------------------------------------------


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
            groups=len(np.unique(bootstrap.membership[here])),
            classes=len(np.unique(labels[here])),
            name=metric,
            **_numbers(intervals[i * metrics + j]),
        )
        for i, name in enumerate(subgroups.names)
        for here in (subgroups.of_image == i,)
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
