"""Where classes have an order, how far off is each head?"""

from typing import Any

from curette.schemas.evaluation import Estimate
from curette.tasks.methods.page.numbers import signed
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a row a head; nothing where the classes have no order."""
    told = draft.evaluation.ordinal if draft.evaluation else ()
    if not told:
        return None
    lead = next((m.error_lead for m in told if m.error_lead), None)
    return {
        "meaning": _meaning(lead),
        "order": ", ".join(draft.class_names.values()),
        "rows": [{"head": m.head, "kappa": m.kappa, "error": m.error} for m in told],
        "leads": [
            {"head": m.head, "kappa": _told(m.kappa_lead), "error": _told(m.error_lead)}
            for m in told
            if m.kappa_lead or m.error_lead
        ],
    }


def _meaning(lead: Estimate | None) -> str:
    if lead is None:
        return "How far off decisions are, in steps of the order."
    apart = (
        "the concept bottleneck is farther off than the linear probe"
        if lead.low > 0
        else "the concept bottleneck is less far off than the linear probe"
        if lead.high < 0
        else "no difference from the linear probe that could not be chance"
    )
    return f"In steps of the order {apart}: {_told(lead)}."


def _told(e: Estimate | None) -> str:
    return "–" if e is None else f"{signed(e.value)} [{signed(e.low)}, {signed(e.high)}]"
