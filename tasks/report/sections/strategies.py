"""Which concepts decide, for how many images, and how often is that right?"""

from typing import Any

from curette.schemas.evaluation import HeadStrategy
from curette.tasks.methods.page.numbers import counted
from curette.tasks.report.material import Draft

_SHOWN = 5  # a class


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return the concepts that decide most often, class by class."""
    if draft.evaluation is None:
        return None
    strategies = draft.evaluation.strategies
    if strategies.not_computable or not strategies.strategies:
        reason = strategies.not_computable or "no image is decided"
        return {"meaning": f"Not computable: {reason}.", "classes": []}
    by_class: dict[str, list[HeadStrategy]] = {key: [] for key in draft.class_names}
    for s in strategies.strategies:
        by_class[s.class_key].append(s)
    most = max(strategies.strategies, key=lambda s: s.images)
    return {
        "meaning": f"Most often “{most.text}” decides: {counted(most.images, 'validation image')} "
        f"called {draft.class_names[most.class_key]}.",
        "note": f"Validation images by the concept that set the answer of the {strategies.head} "
        "furthest ahead of the class that came second. Prevalence is its share of the images "
        "called so; reliability is the share of these that are called rightly.",
        "classes": [
            {
                "name": draft.class_names[key],
                "more": max(0, len(found) - _SHOWN),
                "rows": [
                    {
                        "text": s.text,
                        "images": s.images,
                        "prevalence": s.prevalence,
                        "reliability": s.reliability,
                        "pictures": [
                            draft.picture(i, f"decided by “{s.text}”") for i in s.examples
                        ],
                    }
                    for s in found[:_SHOWN]
                ],
            }
            for key, found in by_class.items()
            if found
        ],
    }
