"""What is every head worth on fewer and on more concepts?"""

from typing import Any

from curette.schemas.heads import EXPLAINED, REFERENCE, card_of
from curette.schemas.questions.sizes import HeadAtSize, SizeTable
from curette.tasks.methods.page.numbers import plain, with_interval
from curette.tasks.report.material import Draft
from curette.tasks.report.sections.concept_budget import WAYS

_METRICS = {"balanced accuracy": "balanced_accuracy", "macro AUROC": "macro_auroc"}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return the heads over numbers of concepts; None where they were not asked for."""
    if draft.evaluation is None or draft.evaluation.sizes is None:
        return None
    return size_section(draft.evaluation.sizes)


def size_section(table: SizeTable) -> dict[str, Any]:
    """Return a table a metric: a row a head and order, a column a number, the probe last."""
    sizes = sorted({point.concepts for point in table.points})
    return {
        "meaning": _meaning(table, sizes),
        "tables": {name: _table(table, sizes, field) for name, field in _METRICS.items()},
        "unusable": table.unusable,
    }


def _meaning(table: SizeTable, sizes: list[int]) -> str:
    if not sizes:
        return "No head could be trained on other numbers of concepts."
    return (
        f"Balanced accuracy of the {card_of(EXPLAINED).title}: "
        + "; ".join(
            f"with {size} concept{'s' * (size > 1)} "
            + ", ".join(
                f"{plain(point.balanced_accuracy.value)} ({WAYS[point.way][0]})"
                for point in table.points
                if (point.head_kind, point.concepts) == (EXPLAINED, size)
                and point.balanced_accuracy
            )
            for size in sorted({sizes[0], sizes[-1]})
        )
        + f". The {card_of(REFERENCE).title} reaches "
        + with_interval(table.probe.balanced_accuracy)
        + "."
    )


def _table(table: SizeTable, sizes: list[int], field: str) -> dict[str, Any]:
    rows: dict[tuple[str, str], dict[int, HeadAtSize]] = {}
    for kind in dict.fromkeys(point.head_kind for point in table.points):
        for point in table.points:
            if point.head_kind == kind:
                rows.setdefault((kind, point.way), {})[point.concepts] = point
    return {
        "columns": [{"label": f"{size}", "arrow": ""} for size in sizes],
        "rows": [
            {
                "head": f"{card_of(kind).title}, {WAYS[way][0]}",
                "kind": kind,
                "cells": [getattr(of.get(size), field, None) for size in sizes],
            }
            for (kind, way), of in rows.items()
        ]
        + [
            {
                "head": card_of(REFERENCE).title,
                "kind": REFERENCE,
                "cells": [getattr(table.probe, field)] * len(sizes),
            }
        ],
    }
