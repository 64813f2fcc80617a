"""How many concepts are enough, what could be exchanged, and how stable is the choice?"""

from typing import Any

from curette.schemas.concepts import ConceptSet, Exchanged
from curette.tasks.methods.page.numbers import counted, plain, signed
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a row a concept; nothing where it was chosen before all this was asked."""
    chosen = draft.material.concepts
    if chosen.sizes is None and chosen.stability is None and not chosen.exchanges:
        return None
    exchanges = {e.concept_id: e.substitutes for e in chosen.exchanges}
    shares = chosen.stability.shares if chosen.stability else {}
    return {
        "meaning": _meaning(chosen),
        "proof": f"{chosen.selections[0].certificate:.1%}" if chosen.scope == "jointly" else "",
        "stability": chosen.stability,
        "sizes": chosen.sizes.steps if chosen.sizes else (),
        "images": chosen.sizes,
        "avoided": list(chosen.avoided),
        "exchanged": [
            {
                "text": e.text,
                "instead": e.for_text,
                "who": f"{e.reviewer}: {e.reason}" if e.reason else e.reviewer,
                "loss": _cost(e),
            }
            for e in chosen.exchanged
        ],
        "rows": [
            {
                "text": concept.text,
                "share": f"{shares[concept.concept_id]:.0%}"
                if concept.concept_id in shares
                else "–",
                "told": [plain(of.get(concept.concept_id), 2) for of in chosen.avoided.values()],
                "substitutes": [
                    f"{s.text} ({signed(s.excess)} ± {plain(s.standard_error)})"
                    for s in exchanges.get(concept.concept_id, ())
                ],
            }
            for concept in chosen.concepts
        ],
    }


def _cost(exchanged: Exchanged) -> str:
    before, after, error = exchanged.loss_before, exchanged.loss_after, exchanged.standard_error
    if before is None or after is None:
        return "–"
    change = f"{signed(after - before)} ± {plain(error)}"
    return f"{plain(before)} before, {plain(after)} after ({change})"


def _meaning(chosen: ConceptSet) -> str:
    said = f"{counted(len(chosen.concepts), 'concept')} were chosen"
    if chosen.sizes is not None:
        said += f", where {chosen.sizes.enough} lose nothing measurable"
    if chosen.exchanged:
        said += f"; a person exchanged {len(chosen.exchanged)} of them"
    if chosen.exchanges:
        said += f"; {len(chosen.exchanges)} of them have a statement that could stand in"
    return said + "."
