"""What do heads gain where a person corrects the concepts that were read wrong?"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from curette.schemas.metrics import Estimate
from curette.schemas.questions.interventions import (
    InterventionCurve,
    InterventionOrder,
    Interventions,
    Propagation,
)
from curette.tasks.methods.page.charts import Figure, Line, Point, line_chart
from curette.tasks.methods.page.numbers import signed_with_interval
from curette.tasks.report.material import Draft

_COLOURS: dict[InterventionOrder, str] = {
    "most uncertain first": "#0f766e",
    "most weighted first": "#b45309",
    "random": "#94a3a0",
    "propagated": "#7c3aed",
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return curves of accuracy over corrected concepts; None where no truth is known."""
    if draft.evaluation is None or not draft.evaluation.interventions.curves:
        return None
    return interventions_section(draft.evaluation.interventions, draft.class_names)


def interventions_section(
    made: Interventions, class_names: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return what the template places, from curves of at least one head; classes by their names."""
    heads = list(dict.fromkeys(c.head for c in made.curves))
    by_head = {head: [c for c in made.curves if c.head == head] for head in heads}
    steps = _steps(made.curves[0])
    return {
        "meaning": f"Correcting all {made.concepts} labelled concepts takes accuracy "
        f"{_gain(heads[0], by_head[heads[0]])}.",
        "note": "A concept is read as present where its score makes that the likelier, as training "
        "and validation images have it, never by a function trained on the image; where that is "
        "wrong, a person's correction sets the score "
        f"to the one typical of the truth. The concept bottleneck's scores are wrong "
        f"{made.read_wrong:.0%} of the time. Only the {made.concepts} labelled concepts can be "
        "corrected; all of them take accuracy "
        + ", ".join(_gain(head, curves) for head, curves in by_head.items())
        + ". The band is the interval of the first order; the others' are about as wide.",
        "propagation": _told_of(made.propagated[0]) if made.propagated else "",
        "propagated": made.propagated,
        "shares": [
            {
                "class": class_names.get(s.class_key, s.class_key),
                "concept": s.concept,
                "given": s.given,
                "images": f"{s.images:,}",
                "observed": s.observed,
                "predicted": "" if s.predicted is None else f"{s.predicted:.2f}",
            }
            for s in made.shares
        ],
        "charts": [{"head": head, "figure": _chart(curves)} for head, curves in by_head.items()],
        "steps": steps,
        "rows": [
            {"head": c.head, "order": c.order, "cells": [c.accuracy[i] for i in steps]}
            for c in made.curves
        ],
    }


def _chart(curves: Sequence[InterventionCurve]) -> Figure:
    """Draw one line an order; those after the first have no band, since it would hide it."""
    lines = [
        Line(
            c.order,
            _COLOURS[c.order],
            [
                Point(i, p.value, *(() if number else (p.low, p.high)))
                for i, p in enumerate(c.accuracy)
            ],
        )
        for number, c in enumerate(curves)
    ]
    return line_chart(lines, "concepts corrected in each image", "accuracy", width=300)


def _steps(curve: InterventionCurve) -> list[int]:
    """Return some numbers of concepts, the first and the last among them."""
    last = len(curve.accuracy) - 1
    return sorted({round(last * share) for share in (0, 0.1, 0.25, 0.5, 0.75, 1)})


def _gain(head: str, curves: Sequence[InterventionCurve]) -> str:
    first, last = curves[0].accuracy[0].value, curves[0].accuracy[-1].value
    return f"from {first:.3f} to {last:.3f} ({head})"


def _told_of(made: Propagation) -> str:
    """Say what propagating brought, and how much of that is owed to dependence within classes."""
    model = (
        "counted out over all combinations of the concepts"
        if made.model == "pairwise"
        else "by a normal distribution of their log-odds, since they are many"
    )
    said = (
        "`Propagated` corrects in the first order, and each correction also tells of the other "
        f"concepts and of the class, {model}, as training and validation images have them together."
    )
    if made.accuracy is not None:
        said += f" {_verdict(made.accuracy, 'the accuracy of the ' + made.head)}."
    if made.log_loss is not None:
        said += f" {_verdict(made.log_loss, 'the log loss of concepts not looked at', less=True)}."
    within = made.log_loss_within
    if within is not None:
        found = (
            "Concepts depend on each other within classes here"
            if within.low > 0
            else "Nothing shows that concepts depend on each other within classes here"
        )
        said += f" {found}: the class alone leaves log loss {signed_with_interval(within)} higher."
    return said


def _verdict(gain: Estimate, of_what: str, less: bool = False) -> str:
    moved = "lowers" if less else "raises"
    spoiled = "raises" if less else "lowers"
    if gain.low > 0:
        return f"This {moved} {of_what} by {signed_with_interval(gain)}"
    if gain.high < 0:
        return f"This {spoiled} {of_what} (a gain of {signed_with_interval(gain)})"
    return f"Nothing shows that this {moved} {of_what} (a gain of {signed_with_interval(gain)})"
