"""Where do the concepts come from, and what did asking cost?"""

from collections.abc import Mapping, Sequence
from typing import Any

from curette.schemas.candidates import Saturation
from curette.schemas.llm import Usage
from curette.tasks.methods.page.charts import Figure, Line, Point, line_chart
from curette.tasks.report.material import Draft

_COLOURS = ("#0f766e", "#1d4ed8", "#b45309", "#b3304f", "#7c3aed", "#4d5c59")
_STOPPED = {
    ("saturated", False): "little new came",
    ("saturated", True): "nothing unread was left",
    ("limit", False): "at the limit",
    ("limit", True): "at the limit",
}


def compose(draft: Draft) -> dict[str, Any]:
    """Return how candidates were found, how far asking has come, and what it has cost."""
    candidates, names = draft.material.candidates, draft.class_names
    return {
        "meaning": f"{len(candidates.candidates):,} different candidates were proposed.",
        "note": "Where from: "
        f"{candidates.source}. {len(candidates.failures)} answers or texts could not be used.",
        "cost": _cost(_spent(draft)),
        "saturation": [_saturation(s, names) for s in candidates.saturation],
        "chart": _chart(candidates.saturation, names),
        "failures": [
            {"about": names.get(f.class_key, f.class_key), "reason": f.reason, "raw": f.raw}
            for f in candidates.failures
        ],
    }


def _saturation(s: Saturation, names: Mapping[str, str]) -> dict[str, Any]:
    last = s.points[-1] if s.points else None
    requests, distinct = (last.requests, last.distinct) if last else (0, 0)
    return {
        "source": s.source.replace("_", " "),
        "about": names.get(s.about, s.about),
        "requests": requests,
        "distinct": distinct,
        "unseen": f"{s.unseen_share:.0%}",
        # Where hardly anything was named twice, the bound says more about luck than about what is
        # left.
        "missing": f"≥ {s.unseen_concepts:.0f}" if s.unseen_share <= 0.5 else "unknown",
        "stopped": _STOPPED[s.stopped, s.source == "documents"],
    }


def _chart(saturation: Sequence[Saturation], names: Mapping[str, str]) -> Figure | None:
    """Draw how many different concepts came with how many requests; None where nobody asked."""
    lines = [
        Line(
            f"{names.get(s.about, s.about)}, {s.source.replace('_', ' ')}",
            _COLOURS[number % len(_COLOURS)],
            [Point(0, 0), *(Point(p.requests, p.distinct) for p in s.points)],
        )
        for number, s in enumerate(saturation)
        if s.points
    ]
    return line_chart(lines, "requests", "different concepts") if lines else None


def _spent(draft: Draft) -> Usage:
    """Return what the language model was asked in the whole study."""
    m, annotations = draft.material, draft.material.published.facts.annotations
    annotated = annotations.usage if annotations else Usage()
    return m.candidates.usage + m.screened.usage + m.priors.usage + annotated


def _cost(spent: Usage) -> str:
    if not spent.requests:
        return "No language model was asked."
    cost = "" if spent.cost_usd is None else f", {spent.cost_usd:.2f} US dollars"
    return (
        f"{spent.requests:,} requests to the language model, {spent.prompt_tokens:,} tokens asked "
        f"and {spent.completion_tokens:,} answered{cost}."
    )
