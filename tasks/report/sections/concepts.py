"""Which concepts were there, which of them decide, and what became of the others?"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from curette.tasks.methods.page.numbers import counted, signed
from curette.tasks.report.material import Draft
from curette.tasks.report.origins import origin_line

_MOST_ROWS = 2000
_SELECTED, _KEPT = "selected", "passed, not selected"


def compose(draft: Draft) -> dict[str, Any]:
    """Return a row a candidate: selected ones first, then what passed, then what was dropped."""
    rows = list(_rows(draft))
    states = list(dict.fromkeys(row["state"] for row in rows))
    count = len(draft.material.published.concepts)
    return {
        "meaning": f"{counted(count, 'concept')} of {len(rows):,} candidates decide.",
        "rows": rows[:_MOST_ROWS],
        "more": max(0, len(rows) - _MOST_ROWS),
        "states": states,
        "classes": list(draft.class_names.values()),
    }


def _rows(draft: Draft) -> Iterator[dict[str, Any]]:
    m, names = draft.material, draft.class_names
    selected = {c.concept_id for c in m.published.concepts}
    classes = list(names.values())
    strongest = np.abs(draft.weights).argmax(axis=0).tolist()
    for j in np.argsort(-draft.weights.std(axis=0), kind="stable").tolist():
        concept, k = m.published.concepts[j], strongest[j]
        weight = float(draft.weights[k, j])
        yield {
            "text": concept.text,
            "state": _SELECTED,
            "speaks": f"{'for' if weight >= 0 else 'against'} {classes[k]}",
            "weight": signed(weight, 2),
            "classes": ", ".join(names[key] for key in concept.classes),
            "origin": origin_line(concept.origins),
            "reason": "",
        }
    for candidate in m.screened.kept:
        if candidate.concept_id not in selected:
            yield {
                "text": candidate.text,
                "state": _KEPT,
                "speaks": "",
                "weight": "",
                "classes": ", ".join(names.get(key, key) for key in candidate.classes),
                "origin": origin_line(candidate.origins),
                "reason": "",
            }
    for drop in m.screened.dropped:
        yield {
            "text": drop.candidate.text,
            "state": f"dropped by {drop.gate.replace('_', ' ')}",
            "speaks": "",
            "weight": "",
            "classes": ", ".join(names.get(key, key) for key in drop.candidate.classes),
            "origin": origin_line(drop.candidate.origins),
            "reason": drop.reason,
        }
