"""Why does the concept bottleneck decide single images as it does?"""

from typing import Any

import numpy as np

from curette.schemas.evaluation import Explanation
from curette.schemas.heads import EXPLAINED
from curette.schemas.probe import head_inputs
from curette.tasks.methods.page.numbers import signed
from curette.tasks.report.material import Draft

_FOR, _AGAINST = 5, 3  # concepts on a card


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
    head = draft.material.probe.head(EXPLAINED)
    row = published.images["image_id"].tolist().index(e.image_id)
    pool = published.pool_rows(c.concept_id for c in head.facts.candidates)
    vectors = published.vectors[row : row + 1]
    scores = head_inputs(head.facts.inputs, vectors, published.pool_vectors[pool])
    first, second = np.argsort(-head.logits(scores)[0], kind="stable")[:2].tolist()
    added = head.contributions(scores[0])
    ahead = added[first] - added[second]
    order = np.argsort(-ahead, kind="stable").tolist()
    listed = [j for j in order[:_FOR] if ahead[j] > 0]
    listed += [j for j in order[-_AGAINST:] if ahead[j] < 0]
    largest = float(np.abs(ahead[listed]).max(initial=0)) or 1.0
    keys = published.class_keys
    start = float(head.baseline[first] - head.baseline[second])
    shown = float(ahead[listed].sum())
    right = e.label == e.predicted
    verdict = "rightly" if right else "wrongly"
    return {
        "picture": draft.picture(e.image_id, f"{verdict} decided as {names[e.predicted]}"),
        "label": names[e.label],
        "predicted": names[e.predicted],
        "second": names[keys[second]],
        "right": right,
        "probability": f"{e.probability:.0%}",
        "start": signed(start, 2),
        "rest": signed(float(ahead.sum()) - shown, 2),
        "rest_count": len(ahead) - len(listed),
        "total": signed(start + float(ahead.sum()), 2),
        "concepts": [
            {
                "text": head.facts.candidates[j].text,
                "ahead": signed(float(ahead[j]), 2),
                "for": bool(ahead[j] >= 0),
                "width": 50 * abs(float(ahead[j])) / largest,
            }
            for j in listed
        ],
    }
