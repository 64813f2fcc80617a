"""How good are heads with few images a class?"""

from collections.abc import Sequence
from typing import Any

from curette.schemas.heads import BEST_PROBE, REFERENCE, HeadKind, card_of
from curette.schemas.questions.few_shots import FewShotCurves, FewShotLead, FewShotPoint
from curette.tasks.methods.page.charts import Figure, Line, Point, Stroke, line_chart
from curette.tasks.methods.page.numbers import counted, plain, signed
from curette.tasks.report.material import Draft

_OVERVIEW = 9  # heads on one chart; of more, those that their cards put first
_WITHOUT = "Over the same without concepts, or with wrong ones"
_OVER_BEST = "Over the best tuned probe"
_OVER_LINEAR = "Over the tuned linear probe"


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return curves over the number of images a class; None where they were not measured."""
    if draft.evaluation is None or draft.evaluation.few_shots is None:
        return None
    return few_shot_section(draft.evaluation.few_shots)


def few_shot_chart(points: Sequence[FewShotPoint]) -> Figure:
    """Draw balanced accuracy over the images a class, one line with its band a head.

    Lines of heads on concepts are whole, of others dashed, of those that chance deals dotted.
    """
    lines = [
        Line(
            _name(head),
            card_of(head).colour,
            [Point(_size(p.shots), p.value, p.low, p.high) for p in points if p.head == head],
            _stroke(head),
        )
        for head in dict.fromkeys(p.head for p in points)
    ]
    return line_chart(lines, "images a class", "balanced accuracy", width=600, height=360)


def few_shot_section(curves: FewShotCurves) -> dict[str, Any]:
    """Return what the template shows: the heads that matter first, then every one.

    Where all heads are few enough for one chart, it shows them all.
    """
    seeds = max(p.seeds for p in curves.points)
    heads = list(dict.fromkeys(p.head for p in curves.points))
    first = heads if len(heads) <= _OVERVIEW else [h for h in heads if card_of(h).in_overview]
    on_concepts = [head for head in heads if _on_concepts(head)]
    others = [head for head in heads if not _on_concepts(head)]
    halves = [
        (f"Heads on concepts, and the {_name(REFERENCE)}", [REFERENCE, *on_concepts]),
        ("Others", others),
    ]
    rows = {head: _row(curves, head) for head in heads}
    return {
        "meaning": _meaning(curves),
        "chart": few_shot_chart(_of(curves, first)),
        "halves": [
            {"title": title, "figure": few_shot_chart(_of(curves, shown))}
            for title, shown in (halves if len(first) < len(heads) else [])
        ],
        "sizes": [_size(size) for size in dict.fromkeys(p.shots for p in curves.points)],
        "leads": _leads(curves),
        "rows": list(rows.values()),
        "about": f"Means over {seeds} {'draws' if seeds > 1 else 'draw'} of training images. "
        f"Intervals of {curves.confidence:.0%} from {curves.resamples} "
        f"resamples of {curves.groups} independent test groups and of the draws at once. Each "
        "draw selects its concepts from its own images; settings are chosen on the validation "
        "images, which are the same for every draw and head. Leads are on the same draws and "
        "resamples. Random concepts and shuffled labels are dealt anew in each "
        "draw; with all images they alone differ from draw to draw.",
        "skipped": list(curves.skipped),
    }


def _meaning(curves: FewShotCurves) -> str:
    """Say which head on concepts is furthest ahead of the linear probe with the fewest images."""
    leads = [x for x in curves.leads if x.baseline == REFERENCE and _on_concepts(x.head)]
    if not leads:
        return "No head on concepts was measured."
    fewest = leads[0].shots
    best = max((x for x in leads if x.shots == fewest), key=lambda x: x.value)
    images = "all images" if fewest is None else counted(fewest, "image") + " a class"
    where = "ahead of" if best.value >= 0 else "behind"
    return (
        f"With {images} the best head on concepts ({_name(best.head)}) is {where} the "
        f"{_name(REFERENCE)} by {plain(abs(best.value))} of balanced accuracy (lead "
        f"{signed(best.low)} to {signed(best.high)})."
    )


def _of(curves: FewShotCurves, heads: Sequence[str]) -> list[FewShotPoint]:
    return [p for p in curves.points if p.head in heads]


def _leads(curves: FewShotCurves) -> list[dict[str, Any]]:
    """Return how far heads on concepts are ahead of themselves without, and of the best probe.

    That is the linear probe where there is no other.
    """
    rivalled = any(lead.baseline == BEST_PROBE for lead in curves.leads)
    over_probe = (_OVER_BEST, BEST_PROBE) if rivalled else (_OVER_LINEAR, REFERENCE)
    parts: dict[str, dict[str, list[FewShotLead]]] = {_WITHOUT: {}, over_probe[0]: {}}
    for lead in curves.leads:
        without = lead.baseline in card_of(lead.head).without_concepts
        if _on_concepts(lead.head) and (without or lead.baseline == over_probe[1]):
            title = _WITHOUT if without else over_probe[0]
            over = f" over {_name(lead.baseline)}" if without else ""
            parts[title].setdefault(f"{_name(lead.head)}{over}", []).append(lead)
    return [
        {
            "title": title,
            "rows": [
                {"name": name, "cells": [_lead_cell(lead) for lead in leads]}
                for name, leads in rows.items()
            ],
        }
        for title, rows in parts.items()
        if rows
    ]


def _row(curves: FewShotCurves, head: HeadKind) -> dict[str, Any]:
    leads = {
        lead.shots: lead
        for lead in curves.leads
        if lead.head == head and lead.baseline == REFERENCE
    }
    cells = [_cell(p, leads.get(p.shots)) for p in curves.points if p.head == head]
    return {"kind": head, "name": _name(head), "cells": cells}


def _stroke(head: HeadKind) -> Stroke:
    if _on_concepts(head):
        return "whole"
    return "dashed" if card_of(head).worth_curves else "dotted"


def _on_concepts(head: HeadKind) -> bool:
    return card_of(head).role == "concepts"


def _cell(point: FewShotPoint, lead: FewShotLead | None) -> dict[str, str]:
    """Return a table cell's texts, those of a lead empty where there is none."""
    value = {"value": f"{point.value:.3f}", "interval": f"{point.low:.3f} to {point.high:.3f}"}
    nothing = {"lead": "", "lead_interval": "", "verdict": ""}
    return value | (nothing if lead is None else _lead_cell(lead))


def _lead_cell(lead: FewShotLead) -> dict[str, str]:
    """Return a lead's texts; `verdict` says whether its interval leaves zero out."""
    return {
        "lead": signed(lead.value),
        "lead_interval": f"{signed(lead.low)} to {signed(lead.high)}",
        "verdict": "ahead" if lead.low > 0 else "behind" if lead.high < 0 else "",
    }


def _name(head: HeadKind) -> str:
    return card_of(head).title


def _size(shots: int | None) -> str:
    return "all" if shots is None else str(shots)
