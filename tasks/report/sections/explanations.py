"""Why does the concept bottleneck decide single images as it does?"""

from typing import Any

from curette.schemas.questions.explanations import Explanation
from curette.tasks.methods.page.decision import compose_decision
from curette.tasks.report.material import Draft
from curette.tasks.report.sections.images import HEAT_PX

_NEAREST = 3  # training images on a card


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return some decisions, each by what set it ahead of the class that came second."""
    if draft.evaluation is None or not draft.evaluation.explanations:
        return None
    return {
        "note": "Test images, the surest right decisions and the surest wrong ones. Bars say what "
        "set the answer ahead of the class that came second: to the right what speaks for the "
        "answer, to the left what speaks for the other.",
        "decisions": [_decision(draft, e) for e in draft.evaluation.explanations],
    }


def _decision(draft: Draft, e: Explanation) -> dict[str, Any]:
    published, names = draft.material.published, draft.class_names
    row = published.images["image_id"].tolist().index(e.image_id)
    group = str(published.images["group"].iat[row])
    explained = draft.explainer.explain(published.vectors[row], group)
    right = e.label == e.predicted
    verdict = "rightly" if right else "wrongly"
    return compose_decision(
        explained,
        draft.picture(e.image_id, f"{verdict} decided as {names[e.predicted]}"),
        level="good" if right else "bad",
        tags=[("good", "right")]
        if right
        else [("bad", "wrong"), ("", f"labelled {names[e.label]}")],
        heat=_heat(draft, e.image_id),
        nearest=[
            draft.picture(x.image_id, f"among the training images most like {e.image_id}")
            for x in explained.nearest[:_NEAREST]
        ],
    )


def _heat(draft: Draft, image_id: str) -> list[dict[str, Any]]:
    """Return where concepts are seen on an image, where that was measured."""
    if draft.evaluation is None:
        return []
    location = draft.evaluation.location
    return [
        {
            "css": draft.book.heat(image_id, x.heat, location.view, HEAT_PX),
            "alt": f"where “{x.text}” is seen on {draft.image_name(image_id)}",
            "text": x.text,
        }
        for x in location.examples
        if x.image_id == image_id
    ]
