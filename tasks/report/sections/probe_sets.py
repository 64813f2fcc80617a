"""Would other labelled images have taught the same concept directions?"""

from typing import Any

from curette.schemas.questions.probe_sets import ProbeSetConcept
from curette.tasks.methods.page.numbers import with_interval
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a row a concept, the least certain first; nothing where labels taught no direction."""
    told = draft.evaluation.probe_sets if draft.evaluation else None
    if told is None or not told.concepts:
        return None
    concepts = sorted(told.concepts, key=lambda c: c.cosine.value)
    return {
        "meaning": _meaning(concepts),
        "splits": told.splits,
        "images": f"{told.images:,}",
        "groups": f"{told.groups:,}",
        "rows": [
            {
                "text": c.text,
                "cosine": c.cosine,
                "by_chance": c.by_chance,
                "contributions": c.contributions,
                "sensitivity": c.sensitivity,
                "is_luck": _is_luck(c),
            }
            for c in concepts
        ],
    }


def _meaning(concepts: list[ProbeSetConcept]) -> str:
    least, luck = concepts[0], sum(map(_is_luck, concepts))
    said = (
        f"Of {len(concepts)} learned directions {luck or 'none'} could have come of dealt labels"
        if len(concepts) > 1
        else f"The one learned direction {'could' if luck else 'cannot'} have come of dealt labels"
    )
    return (
        f"{said}; halves of the images agree least on {least.text}: cosine "
        f"{with_interval(least.cosine, 2)}."
    )


def _is_luck(concept: ProbeSetConcept) -> bool:
    """Whether halves agree no more than with labels dealt anew, as far as the splits tell."""
    return concept.cosine.low <= concept.by_chance.high
