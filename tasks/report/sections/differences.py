"""How far is each head ahead of its baselines?"""

from typing import Any

from curette.schemas.metrics import HeadMetricName
from curette.schemas.questions.differences import Difference
from curette.tasks.methods.page.numbers import p_value, signed
from curette.tasks.report.material import Draft

_LABELS: dict[HeadMetricName, str] = {
    "balanced_accuracy": "balanced accuracy",
    "macro_auroc": "macro AUROC",
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return one row a pair of heads, one column a metric."""
    if draft.evaluation is None or not draft.evaluation.differences:
        return None
    differences = draft.evaluation.differences
    names = list(dict.fromkeys(d.name for d in differences))
    rows: dict[tuple[str, str], dict[HeadMetricName, Difference]] = {}
    for d in differences:
        rows.setdefault((d.head, d.baseline), {})[d.name] = d
    apart = sum(_verdict(d) != "" for d in differences if d.name == names[0])
    return {
        "meaning": f"{apart} of {len(rows)} pairs differ in {_LABELS[names[0]]} by more than "
        "chance.",
        "columns": [_LABELS[name] for name in names],
        "rows": [
            {
                "head": head,
                "baseline": baseline,
                "cells": [_difference(found[name]) if name in found else None for name in names],
            }
            for (head, baseline), found in rows.items()
        ],
    }


def _difference(d: Difference) -> dict[str, Any]:
    tested = d.delong
    return {
        "value": signed(d.value),
        "span": f"{signed(d.low)} to {signed(d.high)}",
        "method": d.method,
        "verdict": _verdict(d),
        "delong": f"{p_value(tested.p_value)}, {signed(tested.low)} to {signed(tested.high)}"
        if tested
        else "",
    }


def _verdict(d: Difference) -> str:
    return "better" if d.low > 0 else "worse" if d.high < 0 else ""
