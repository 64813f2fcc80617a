"""How good are few statements, and how many random ones are needed for the same?"""

from typing import Any

from curette.schemas.heads import REFERENCE, card_of
from curette.tasks.methods.page.charts import Line, Point, line_chart
from curette.tasks.methods.page.numbers import signed
from curette.tasks.report.material import Draft

_TOLD = {
    "selected": ("chosen together", "#0f766e"),
    "labo": ("LaBo’s objective", "#b45309"),
    "random": ("random statements", "#94a3a0"),
    "random directions": ("random directions", "#a78bfa"),
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return the curve, and what lies between its lines."""
    if draft.evaluation is None or draft.evaluation.concept_budget is None:
        return None
    budget = draft.evaluation.concept_budget
    box = budget.black_box
    lines = [
        Line(
            name=f"{title} ({line.draws} draws)" if line.draws > 1 else title,
            colour=colour,
            points=[
                Point(
                    point.concepts,
                    point.balanced_accuracy.value,
                    point.lowest if line.draws > 1 else point.balanced_accuracy.low,
                    point.highest if line.draws > 1 else point.balanced_accuracy.high,
                )
                for point in line.points
            ],
        )
        for name, (title, colour) in _TOLD.items()
        for line in budget.lines
        if line.name == name and line.points
    ]
    if box is not None:
        sizes = [point.x for line in lines for point in line.points]
        level = [Point(size, box.value) for size in (min(sizes), max(sizes))]
        probe = card_of(REFERENCE)
        lines.append(Line(probe.title, probe.colour, level, "dashed"))
    return {
        "chart": line_chart(
            lines, "concepts", "balanced accuracy", doublings=True, mark=budget.chosen
        ),
        "areas": [
            f"{signed(area.value)} [{signed(area.low)}, {signed(area.high)}] over {other}"
            for area, other in (
                (budget.area_over_random, "random statements"),
                (budget.area_over_labo, "LaBo’s objective"),
            )
            if area is not None
        ],
    }
