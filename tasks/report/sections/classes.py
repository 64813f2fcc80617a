"""What does the concept bottleneck weigh for each class?"""

from typing import Any

import numpy as np

from curette.schemas.concepts import ClassSelection, ConceptSet
from curette.tasks.methods.page.numbers import signed
from curette.tasks.report.material import Draft
from curette.tasks.report.origins import origin_line, quote_of


def compose(draft: Draft) -> dict[str, Any]:
    """Return the concepts of each class, heaviest first.

    Those selected for other classes count too: the bottleneck weighs every concept for each.
    """
    m = draft.material
    return {
        "meaning": f"{len(m.concepts.concepts):,} concepts, chosen by "
        f"{m.concepts.method.replace('_', ' ')} selection from {len(m.screened.kept):,} "
        "candidates.",
        "note": "A weight says how much a class’s logit grows as a concept’s score rises by one "
        "standard deviation of the training images, minus the mean of all classes: what lifts "
        "every class alike decides nothing. At most "
        f"{draft.spec.concepts_per_class} concepts a class are shown, heaviest first.",
        "classes": [_class(draft, i) for i in range(len(m.published.class_keys))],
    }


def _class(draft: Draft, number: int) -> dict[str, Any]:
    m = draft.material
    selection, weights = m.concepts.selections[number], draft.weights[number]
    strength = np.abs(weights)
    ranked = np.argsort(-strength, kind="stable")
    shown = ranked[: draft.spec.concepts_per_class].tolist()
    return {
        "name": m.published.facts.classes[number].name,
        "shown": len(shown),
        "total": len(ranked),
        "share": f"{strength[shown].sum() / (strength.sum() or 1):.0%}",
        "more": len(ranked) - len(shown),
        "proof": _proof(m.concepts, selection),
        "concepts": [
            _concept(draft, j, float(weights[j]), float(strength.max()) or 1.0)
            | {"selected": selection.class_key in m.published.concepts[j].selected_for}
            for j in shown
        ],
    }


def _proof(concepts: ConceptSet, selection: ClassSelection) -> str:
    """Say how good the selection provably is, and by which similarity."""
    whose = "selection of all classes together" if concepts.scope == "jointly" else "selection"
    among = f"over {selection.similarity}, " if selection.neighbours else ""
    return (
        f"{whose} reaches at least {selection.certificate:.1%} of the optimum, {among}"
        f"from {selection.pool:,} candidates"
        + (" of this class" if concepts.scope == "jointly" else "")
    )


def _concept(draft: Draft, number: int, weight: float, largest: float) -> dict[str, Any]:
    concept = draft.material.published.concepts[number]
    hits = draft.material.index.top_images.get(concept.concept_id, ())
    return {
        "text": concept.text,
        "proposed_for": ", ".join(draft.class_names[k] for k in concept.classes),
        "origin": origin_line(concept.origins),
        "quote": quote_of(concept.origins),
        "weight": signed(weight, 2),
        "for": weight >= 0,
        "width": 70 * abs(weight) / largest,
        "pictures": [
            draft.picture(h.image_id, f"cosine {h.score:.3f} with “{concept.text}”")
            for h in hits[: draft.spec.images_per_concept]
        ],
    }
