"""One decision as a page shows it: concept by concept what set the answer ahead."""

from collections.abc import Sequence
from typing import Any

from curette.tasks.methods.explanation import ImageExplanation
from curette.tasks.methods.many_decisions import LISTED_AGAINST, LISTED_FOR
from curette.tasks.methods.page.numbers import signed

LEARNED = (
    "The encoder knows images and no texts. A concept's score is the cosine with a direction that "
    "was learned from a true/false column of all training images, so it flatters these, few-shot "
    "heads know more than their shots, and a text's score is nowhere meant."
)
"""What is to be known of a study whose encoder reads no text."""


def compose_decision(
    e: ImageExplanation,
    picture: dict[str, Any],
    *,
    level: str = "",
    tags: Sequence[tuple[str, str]] = (),
    heat: Sequence[dict[str, Any]] = (),
    nearest: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return what the macro of `decision.html.j2` places.

    Args:
        e: the decision.
        picture: of the image: the CSS class that shows it, its name, and what it is, in words.
        level: `good` or `bad`, where it is known whether the decision is right.
        tags: what is to be known of it at once: a level (`good`, `warn`, `bad`, or none) and words.
        heat: pictures of where concepts are seen on it.
        nearest: pictures of the training images most like it.
    """
    listed = [p for p in e.parts[:LISTED_FOR] if p.ahead > 0]
    listed += [p for p in e.parts[len(listed) :][-LISTED_AGAINST:] if p.ahead < 0]
    largest = max((abs(p.ahead) for p in listed), default=0.0) or 1.0
    rest = e.rest + sum(p.ahead for p in e.parts) - sum(p.ahead for p in listed)
    return {
        "picture": picture,
        "level": level,
        "predicted": e.decision.name,
        "probability": f"{e.decision.probability:.0%}",
        "second": e.runner_up.name,
        "second_probability": f"{e.runner_up.probability:.0%}",
        "tags": [{"level": level, "text": text} for level, text in tags],
        "concepts": [
            {
                "text": p.text,
                "ahead": signed(p.ahead, 2),
                "for": p.ahead >= 0,
                "width": 50 * abs(p.ahead) / largest,
                "standing": standing(p.standing),
            }
            for p in listed
        ],
        "start": signed(e.start, 2),
        "rest": signed(rest, 2),
        "rest_count": e.rest_count + len(e.parts) - len(listed),
        "total": signed(e.lead, 2),
        "heat": list(heat),
        "nearest": list(nearest),
    }


def more_or_less(shown_more: bool, text: str) -> str:
    """Say of a reason whether it counts because the image shows it or because it does not."""
    return f"{'more' if shown_more else 'less'} of “{text}”"


def standing(share: float) -> str:
    """Say where among the training images a score stands."""
    if 0.4 < share < 0.6:
        return "in the middle of training images"
    if share >= 0.5:  # not 100 %: the image may be the highest of many
        return f"above {min(share, 0.99):.0%} of training images"
    return f"below {min(1 - share, 0.99):.0%} of training images"
