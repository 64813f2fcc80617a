"""Where classes stand in a tree, which mistakes stay within a branch?"""

from typing import Any

from curette.schemas.heads import EXPLAINED
from curette.schemas.questions.taxonomy import TaxonomyMetric
from curette.tasks.methods.page.numbers import signed_with_interval, with_interval
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a row a head; nothing where the classes stand in no tree."""
    told = draft.evaluation.taxonomy if draft.evaluation else None
    if told is None:
        return None
    names = draft.class_names
    own = next(m for m in told.heads if m.head_kind == EXPLAINED)
    return {
        "meaning": _meaning(own),
        "depth": len(told.levels),
        "levels": [
            {
                "title": "the classes" if level.is_classes else f"level {number}",
                "nodes": ", ".join(names.get(node, node) for node in level.nodes),
                "chance": 1 / len(level.nodes),
                "lead": signed_with_interval(lead),
            }
            for number, (level, lead) in enumerate(
                zip(told.levels, told.level_leads, strict=True), start=1
            )
        ],
        "rows": told.heads,
        "distance_lead": signed_with_interval(told.distance_lead),
    }


def _meaning(own: TaxonomyMetric) -> str:
    if own.across is None or own.distance_lead is None or own.across_chance is None:
        return "How mistakes lie in the tree of classes."
    lead = own.distance_lead
    apart = (
        "nearer than chance's"
        if lead.high < 0
        else "farther than chance's"
        if lead.low > 0
        else "not measurably nearer than chance's"
    )
    return (
        f"Of the concept bottleneck's mistakes a share of {with_interval(own.across)} leave their "
        f"branch ({own.across_chance.value:.3f} by chance with the same totals); in the tree they "
        f"are {apart}."
    )
