"""Where classes have an order, how far off is each head?"""

from typing import Any

from curette.schemas.metrics import Estimate
from curette.tasks.methods.page.numbers import signed_with_interval
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
            {
                "head": m.head,
                "kappa": signed_with_interval(m.kappa_lead),
                "error": signed_with_interval(m.error_lead),
            }
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
    return f"In steps of the order {apart}: {signed_with_interval(lead)}."
