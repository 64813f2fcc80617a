"""Metrics by what the metadata says of the test images."""

from collections.abc import Iterator, Sequence

from curette.schemas.evaluation import (
    EvaluateSpec,
    MetricName,
    SubgroupMetric,
    SubgroupTables,
    UnusableColumn,
    WorstSubgroup,
)
from curette.tasks.evaluate import subgroups
from curette.tasks.evaluate.judging import ExaminedImages, Judged
from curette.tasks.evaluate.quality import is_defined
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap

_SHOWN: tuple[MetricName, ...] = ("accuracy", "balanced_accuracy", "macro_auroc")


def tabulate_subgroups(
    images: ExaminedImages,
    judged: Sequence[Judged],
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> SubgroupTables:
    """Return three metrics of these heads on every subgroup, and where each is worst."""
    known = [str(c) for c in images.metadata.columns]
    wanted = known if spec.subgroup_columns is None else list(spec.subgroup_columns)
    used, unusable = subgroups.find_subgroups(
        images.metadata[wanted],
        images.groups,
        spec.subgroup_edges,
        spec.smallest_subgroup,
        {*(spec.subgroup_columns or ()), *spec.subgroup_edges},
    )
    metrics: list[SubgroupMetric] = []
    worst: list[WorstSubgroup] = []
    for column in used:
        for head in judged:
            found, lowest = subgroups.measure_subgroups(
                images.labels, head.draws, column, bootstrap, spec.interval, spec.confidence
            )
            metrics += _lines(head.name, found)
            worst += _worst(head.name, lowest)
    return SubgroupTables(
        smallest=spec.smallest_subgroup,
        metrics=tuple(metrics),
        worst=tuple(worst),
        unusable=tuple(UnusableColumn(column=u.column, reason=u.reason) for u in unusable),
    )


def _lines(head: str, found: Sequence[subgroups.SubgroupMetric]) -> Iterator[SubgroupMetric]:
    for line in found:
        if line.metric in _SHOWN and is_defined(line.interval):
            yield SubgroupMetric(
                head=head,
                column=line.column,
                subgroup=line.subgroup,
                images=line.images,
                groups=line.groups,
                classes=line.classes,
                name=line.metric,
                value=line.interval.value,
                low=line.interval.low,
                high=line.interval.high,
                method=line.interval.method,
            )


def _worst(head: str, found: Sequence[subgroups.WorstSubgroup]) -> Iterator[WorstSubgroup]:
    for line in found:
        if line.metric in _SHOWN and is_defined(line.interval):
            yield WorstSubgroup(
                head=head,
                column=line.column,
                subgroup=line.subgroup,
                name=line.metric,
                value=line.interval.value,
                low=line.interval.low,
                high=line.interval.high,
                method=line.interval.method,
            )
