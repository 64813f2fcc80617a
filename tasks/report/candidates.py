"""What the page says of where concepts come from and what is believed of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from curette.schemas.candidates import (
    Candidate,
    CandidateSet,
    DocumentOrigin,
    FileOrigin,
    LlmOrigin,
    Origin,
    ReviewOrigin,
    Saturation,
)
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.priors import Priors
from curette.tasks.report.charts import sparkline

_STOPPED = {
    ("saturated", False): "little new came",
    ("saturated", True): "nothing unread was left",
    ("limit", False): "at the limit",
    ("limit", True): "at the limit",
}
_QUOTE = 240  # characters of a quote that are shown


def candidates_section(candidates: CandidateSet, spent: Usage) -> dict[str, Any]:
    """Return how candidates were found, how far asking has come, and what it has cost."""
    return {
        "sources_note": f"{len(candidates.candidates):,} different candidates. Where from: "
        f"{candidates.source}. {len(candidates.failures)} answers or texts could not be used.",
        "cost_note": _cost(spent),
        "saturation": [_saturation(s) for s in candidates.saturation],
        "failures": [
            {"about": f.class_key, "reason": f.reason, "raw": f.raw} for f in candidates.failures
        ],
    }


def priors_section(
    priors: Priors, pool: tuple[Candidate, ...], classes: tuple[ClassLabel, ...]
) -> dict[str, Any]:
    """Return which concept speaks for which class, how sure that is, and where it is doubtful."""
    texts = {c.concept_id: c.text for c in pool}
    names = {c.key: c.name for c in classes}
    return {
        "priors_note": f"Who says which concept speaks for which class, before any image is looked "
        f"at: {priors.source}.",
        "agreement": [
            {
                "question": a.question,
                "kappa": "not computable" if a.kappa is None else f"{a.kappa:.2f}",
                "pairs": a.items,
                "votes": a.votes_each,
            }
            for a in priors.agreement
        ],
        "prior_rows": [
            {
                "name": names[key],
                "counts": [
                    sum(p.class_key == key and p.answer == answer for p in priors.priors)
                    for answer in ("speaks for", "neutral", "speaks against")
                ],
            }
            for key in priors.class_keys
        ],
        "differing": [
            {"text": texts.get(p.concept_id, p.concept_id), "name": names[p.class_key]}
            for p in priors.priors
            if p.directions_differ
        ],
        "prior_failures": priors.failures,
        "unmatched": priors.unmatched,
        "spellings": [
            {
                "names": " and ".join(f"'{name}'" for name in s.names),
                "agree": f"{s.agree} of {s.questions}",
                "used": "both count" if s.used else "looks alike, was not read",
                "kappa": "not computable" if s.kappa is None else f"{s.kappa:.2f}",
            }
            for s in priors.spellings
        ],
    }


def origin_line(origins: Sequence[Origin]) -> str:
    """Return where a concept comes from, in a few words."""
    told = Counter(_place(origin) for origin in origins)
    return " · ".join(
        place if times == 1 else f"{place}, {times} times" for place, times in told.items()
    )


def _place(origin: Origin) -> str:
    match origin:
        case LlmOrigin():
            return origin.model
        case DocumentOrigin():
            return f"{origin.document}, characters {origin.start} to {origin.end}"
        case FileOrigin():
            return f"{origin.file}:{origin.line}"
        case ReviewOrigin():
            return f"reworded by {origin.reviewer}"


def quote_of(origins: Sequence[Origin]) -> str:
    """Return the first passage of a document that a concept rests on, "" where there is none."""
    quote = next((o.quote for o in origins if o.kind == "document"), "")
    return quote if len(quote) <= _QUOTE else f"{quote[:_QUOTE]}…"


def _saturation(s: Saturation) -> dict[str, Any]:
    last = s.points[-1] if s.points else None
    requests, distinct = (last.requests, last.distinct) if last else (0, 0)
    return {
        "source": s.source.replace("_", " "),
        "about": s.about,
        "requests": requests,
        "distinct": distinct,
        "unseen": f"{s.unseen_share:.0%}",
        # Where hardly anything was named twice, the bound says more about luck than about what is
        # left.
        "missing": f"≥ {s.unseen_concepts:.0f}" if s.unseen_share <= 0.5 else "unknown",
        "stopped": _STOPPED[s.stopped, s.source == "documents"],
        "svg": sparkline(
            [(float(p.requests), float(p.distinct)) for p in s.points],
            f"{distinct} different concepts after {requests} requests",
        ),
    }


def _cost(spent: Usage) -> str:
    if not spent.requests:
        return "No language model was asked."
    cost = "" if spent.cost_usd is None else f", {spent.cost_usd:.2f} US dollars"
    return (
        f"{spent.requests:,} requests to the language model, {spent.prompt_tokens:,} tokens asked "
        f"and {spent.completion_tokens:,} answered{cost}."
    )
