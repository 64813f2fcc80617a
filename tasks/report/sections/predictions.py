"""Which images are decided wrongly, and what is taken for what?"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from curette.schemas.heads import EXPLAINED, REFERENCE, card_of
from curette.schemas.probe import Head
from curette.schemas.questions.curves import HeadCurves
from curette.tasks.methods.page.charts import Line, Point, line_chart
from curette.tasks.report.material import Draft

_OPEN = (EXPLAINED, REFERENCE)
_FILTERS = {EXPLAINED: "decided", REFERENCE: "box"}
"""Head -> the filter of the wall of images that takes what it says."""


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return confusion matrices, whose cells open the wall of images, and training curves."""
    evaluation = draft.evaluation
    if evaluation is None:
        return None
    heads = draft.material.probe.heads
    kinds = {h.facts.name: h.facts.kind for h in heads}
    names = list(draft.class_names.values())
    opens = _FILTERS if draft.spec.wall else {}
    confusions = [_confusion(c, names, opens.get(kinds[c.head], "")) for c in evaluation.curves]
    first = next(h.facts.name for h in heads if h.facts.kind == EXPLAINED)
    wrong = [p for p in evaluation.predictions if p.predicted[first] != p.label]
    return {
        "meaning": f"The {first} decides {len(wrong):,} of {evaluation.images:,} test images "
        f"wrongly{_most_frequent(confusions, first)}.",
        "class_names": names,
        "opens": bool(opens),
        "shown": [c for c in confusions if kinds[c["head"]] in _OPEN],
        "more": [c for c in confusions if kinds[c["head"]] not in _OPEN],
        "charts": list(_training_curves([h for h in heads if h.facts.kind in _OPEN])),
    }


def _most_frequent(confusions: Sequence[dict[str, Any]], head: str) -> str:
    """Say which mistake is the most frequent one of a head."""
    rows = next(c["rows"] for c in confusions if c["head"] == head)
    cells = [
        (cell["count"], row["name"], rows[j]["name"])
        for row in rows
        for j, cell in enumerate(row["cells"])
        if not cell["diagonal"]
    ]
    count, label, taken = max(cells, key=lambda cell: cell[0])
    return f"; most often {label} is taken for {taken} ({count:,})" if count else ""


def _confusion(curves: HeadCurves, names: Sequence[str], opens: str) -> dict[str, Any]:
    """Return a matrix; `opens` is the filter that its cells set, empty: they open nothing."""
    return {
        "head": curves.head,
        "rows": [
            {
                "name": names[i],
                "cells": [
                    {"count": n, "share": n / (sum(row) or 1), "diagonal": i == j}
                    | {
                        "opens": f"split=test&label={i}&{opens}={j}" if opens and n else "",
                        "anchor": f"cell-{i}-{j}" if opens == "decided" else "images",
                    }
                    for j, n in enumerate(row)
                ],
            }
            for i, row in enumerate(curves.confusion)
        ],
    }


def _training_curves(heads: Sequence[Head]) -> Iterator[dict[str, Any]]:
    for head in heads:
        facts = head.facts
        if len(facts.curve) > 1:
            on_path = facts.kind == REFERENCE
            steps = [(float(np.log10(s.x)) if on_path else s.x, s) for s in facts.curve]
            colour = card_of(facts.kind).colour
            validation = [Point(x, s.validation_loss) for x, s in steps]
            training = [Point(x, s.train_loss) for x, s in steps]
            yield {
                "title": f"{facts.name}: loss while it was trained",
                "figure": line_chart(
                    [
                        Line("validation images", colour, validation),
                        Line("training images", colour, training, "dashed"),
                    ],
                    "log10 of the regularisation strength" if on_path else "epoch",
                    "loss",
                    width=300,
                ),
            }
