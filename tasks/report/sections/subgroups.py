"""For whom does it hold?"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from curette.schemas.metrics import HeadMetricName
from curette.schemas.questions.subgroups import SubgroupMetric, SubgroupTables, WorstSubgroup
from curette.tasks.methods.page.numbers import with_interval
from curette.tasks.report.material import Draft

_LABELS: dict[HeadMetricName, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_auroc": "macro AUROC",
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a table for each column of the metadata, and where heads are worst."""
    if draft.evaluation is None:
        return None
    tables = draft.evaluation.subgroups
    columns = list(dict.fromkeys(m.column for m in tables.metrics))
    heads = list(dict.fromkeys(m.head for m in tables.metrics))
    return {
        "meaning": _meaning(tables),
        "note": "Each subgroup is measured alone. A mean over classes is over those that it has, "
        "so two subgroups compare only as far as they have the same ones. Subgroups of fewer than "
        f"{tables.smallest} independent groups are merged with their neighbours on a scale, or "
        "into “other”, or hidden. The interval of the worst value is of whichever subgroup is "
        "worst in a resample; the worst of several noisy values lies too low, and more so the more "
        "subgroups there are.",
        "heads": heads,
        "worst": [
            {
                "column": column.replace("_", " "),
                "cells": [_worst(tables.worst, column, head) for head in heads],
            }
            for column in columns
        ],
        "tables": [
            _by_column(column, [m for m in tables.metrics if m.column == column], heads)
            for column in columns
        ],
        "unusable": tables.unusable,
    }


def _meaning(tables: SubgroupTables) -> str:
    worst = [w for w in tables.worst if w.name == "balanced_accuracy"]
    if not worst:
        return "No column of the metadata parts the test images into subgroups large enough."
    lowest = min((w for w in worst if w.head == worst[0].head), key=lambda w: w.value)
    return (
        f"The {lowest.head} is worst where {lowest.column.replace('_', ' ')} is "
        f"{lowest.subgroup}: balanced accuracy {with_interval(lowest)}."
    )


def _worst(worst: Sequence[WorstSubgroup], column: str, head: str) -> WorstSubgroup | None:
    wanted = (column, head, "balanced_accuracy")
    return next((w for w in worst if (w.column, w.head, w.name) == wanted), None)


def _by_column(
    column: str, metrics: Sequence[SubgroupMetric], heads: Sequence[str]
) -> dict[str, Any]:
    names = list(dict.fromkeys(m.name for m in metrics))
    rows = [list(group) for _, group in groupby(_by_subgroup(metrics), lambda m: m.subgroup)]
    return {
        "column": column.replace("_", " "),
        "heads": [{"head": head, "metrics": [_LABELS[name] for name in names]} for head in heads],
        "rows": [
            {
                "subgroup": row[0].subgroup,
                "images": row[0].images,
                "groups": row[0].groups,
                "classes": row[0].classes,
                "cells": [
                    next((m for m in row if (m.head, m.name) == (head, name)), None)
                    for head in heads
                    for name in names
                ],
            }
            for row in rows
        ],
    }


def _by_subgroup(metrics: Sequence[SubgroupMetric]) -> list[SubgroupMetric]:
    order = {name: i for i, name in enumerate(dict.fromkeys(m.subgroup for m in metrics))}
    return sorted(metrics, key=lambda m: order[m.subgroup])
