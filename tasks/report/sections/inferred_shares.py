"""What do the heads give away about the people or things on their training images?"""

from typing import Any

from curette.schemas.questions.inferred_shares import InferredShare, InferredShares
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a row a property, head and way to read it; nothing where no property was named."""
    told = draft.evaluation.inferred_shares if draft.evaluation else None
    return None if told is None else share_section(told)


def share_section(told: InferredShares) -> dict[str, Any]:
    """Return what the template places."""
    return {
        "meaning": _meaning(told),
        "deals": told.deals,
        "heads": told.heads,
        "low": _percent(told.shares[0]),
        "high": _percent(told.shares[-1]),
        "shares": len(told.shares),
        "error_of_prior": f"{told.error_of_prior:.3f}",
        "rows": [
            {
                "property": f"{f.column}: {f.value}",
                "head": f.head,
                "read_from": _READ_FROM[f.read_from],
                "images": f"{f.images:,}",
                "published": f.published,
                "erased": f.erased,
                "dealt": f.dealt,
                "is_told": f.is_told,
            }
            for f in told.found
        ],
        "refused": told.not_computable,
    }


_READ_FROM = {"weights": "its weights", "answers": "its answers alone"}


def _meaning(told: InferredShares) -> str:
    if not told.found:
        return "Too few images to train heads on different shares of them."
    given = [f for f in told.found if f.is_told]
    if not given:
        named = " or ".join(dict.fromkeys(f"{f.column} {f.value}" for f in told.found))
        return (
            f"Who receives a head was not found to learn what share of its training images had "
            f"{named}."
        )
    worst = max(given, key=lambda f: f.published.auroc.value)
    return (
        f"Who receives the {worst.head} can tell whether {_percent(told.shares[0])} or "
        f"{_percent(told.shares[-1])} of its training images had {worst.column} {worst.value}: "
        f"{_in_hundred(worst)}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _in_hundred(found: InferredShare) -> str:
    right = found.published.accuracy
    return (
        f"right of {100 * right.value:.0f} in 100 such heads "
        f"[{100 * right.low:.0f}, {100 * right.high:.0f}], where guessing is of 50"
    )
