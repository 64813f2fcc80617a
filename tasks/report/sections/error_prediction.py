"""Do other signs of doubt find a head's mistakes better than its confidence?"""

from typing import Any

from curette.schemas.metrics import Estimate
from curette.schemas.questions.error_prediction import PredictedErrors
from curette.tasks.methods.page.numbers import signed, signed_with_interval
from curette.tasks.report.material import Draft

AREA_DIGITS = 4  # areas are small, and a bound beside 0 must not be printed as 0


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a row a head, and why there is none of others; nothing where it was not measured."""
    told = draft.evaluation.error_prediction if draft.evaluation else None
    if told is None or not (told.heads or told.not_computable):
        return None
    return {
        "meaning": _meaning(told.heads),
        "rows": [
            {
                "head": h.head,
                "by_confidence": h.by_confidence,
                "by_prediction": h.by_prediction,
                "difference": signed_with_interval(h.difference, AREA_DIGITS),
                "in_any_order": h.in_any_order,
                "verdict": verdict(h.difference),
                "learned_from": f"{h.mistakes:,} of {h.learned_from:,}",
            }
            for h in told.heads
        ],
        "signs": [
            {"name": name, "weights": [signed(h.weights[name]) for h in told.heads]}
            for name in (told.heads[0].weights if told.heads else ())
        ],
        "refused": told.not_computable,
    }


def _meaning(heads: tuple[PredictedErrors, ...]) -> str:
    if not heads:
        return "Too few mistakes on validation images to learn what else tells of them."
    first = heads[0]
    said = {
        "better": "Signs beside confidence find mistakes of the {} better",
        "worse": "Signs beside confidence find mistakes of the {} worse than its confidence alone",
        "no difference found": "Nothing beside its confidence is found to tell of mistakes of the "
        "{}",
    }[verdict(first.difference)]
    return f"{said.format(first.head)}: AURC {signed_with_interval(first.difference, AREA_DIGITS)}."


def verdict(difference: Estimate) -> str:
    """Return what may be claimed: a difference only where its interval leaves 0 out."""
    if difference.high < 0:
        return "better"
    return "worse" if difference.low > 0 else "no difference found"
