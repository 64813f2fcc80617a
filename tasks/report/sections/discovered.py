"""What do training images have in common that nobody put into words, and what names it?"""

from collections.abc import Collection, Iterable
from typing import Any

from curette.schemas.candidates import Candidate, DictionaryFacts, DiscoveredOrigin
from curette.tasks.methods.page.numbers import counted, plain
from curette.tasks.report.material import Draft

_SHOWN = 40
_PICTURES = 4
_METHODS = {
    "kmeans": "k-means",
    "topk_sae": "sparse autoencoder",
    "ra_sae": "sparse autoencoder, archetypal",
    "nmf": "NMF",
    "ica": "ICA",
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return what was found among images, with its pictures; None where nothing was looked for."""
    facts = draft.material.candidates.dictionaries
    if not facts:
        return None
    own, beside = facts[0], facts[-1]
    chosen = {c.concept_id for c in draft.material.published.concepts}
    dropped = {d.candidate.concept_id: d.reason for d in draft.material.screened.dropped}
    pool = {o.number: c for c in draft.material.published.pool for o in _found(c)}
    found = [pool.get(o.number, c) for c in draft.material.candidates.candidates for o in _found(c)]
    order = in_order(found, chosen)
    shown = [_feature(draft, c, o, chosen, dropped) for c in order[:_SHOWN] for o in _found(c)]
    return {
        "meaning": _meaning(own, sum(c.concept_id in chosen for c in found)),
        "rows": [_row(f) for f in facts],
        "beside": beside.beside,
        "floor": plain(own.floor, 2),
        "chance": None if own.proved_by_chance is None else f"{own.proved_by_chance:.0%}",
        "features": shown,
        "more": len(order) - len(shown),
    }


def _found(candidate: Candidate) -> list[DiscoveredOrigin]:
    return [candidate.found] if candidate.found else []


def in_order(found: Iterable[Candidate], chosen: Collection[str]) -> list[Candidate]:
    """Return what is selected first, then what has a name, then the rest."""
    return sorted(found, key=lambda c: (c.concept_id not in chosen, not (c.found and c.found.name)))


def _meaning(own: DictionaryFacts, chosen: int) -> str:
    five = f"{plain(own.with_five)} [{plain(own.low)}, {plain(own.high)}]"
    verdict = (
        "more than random directions do"
        if own.low > own.random_five
        else "no more than random directions do"
    )
    return (
        f"{counted(own.size, 'direction')} found among training images without words; "
        f"{own.proved} could be named, and the selection took {chosen}. The best five tell the "
        f"classes of validation images apart by {five} (balanced accuracy), {verdict} "
        f"({plain(own.random_five)})."
    )


def _row(f: DictionaryFacts) -> dict[str, Any]:
    return {
        "method": ", ".join(
            (
                _METHODS.get(f.method, f.method),
                *["among places"] * (f.among == "places"),
                *["beside"] * f.beside,
            )
        ),
        "size": f.size,
        "cells": [
            plain(f.explained, 2),
            plain(f.active, 1),
            f"{f.dead:.0%}",
            plain(f.stable_seeds, 2),
            plain(f.stable_halves, 2),
            f"{f.named} of {f.size}",
            f"{f.proved} of {f.named}",
            plain(f.finds, 2),
            plain(f.statements_find, 2),
            f"{plain(f.with_five)} [{plain(f.low)}, {plain(f.high)}]",
            plain(f.random_five),
            plain(f.statements_five),
        ],
    }


def borne_out(origin: DiscoveredOrigin) -> str:
    """Return whether validation images bear the statement out, and by how much."""
    auroc = f"AUROC {plain(origin.proof, 2)}"
    if origin.proof_low is None or origin.proof_others is None:
        return f"{'' if origin.name else 'not '}borne out by {auroc}"
    held = origin.proof_low > origin.proof_others
    return (
        f"{'' if held else 'not '}borne out by {auroc} (at least {plain(origin.proof_low, 2)}, "
        f"where other statements come to {plain(origin.proof_others, 2)})"
    )


def _feature(
    draft: Draft,
    candidate: Candidate,
    origin: DiscoveredOrigin,
    chosen: set[str],
    dropped: dict[str, str],
) -> dict[str, Any]:
    reason = dropped.get(candidate.concept_id)
    told = (
        ""
        if origin.cosine is None
        else f"{'named by' if origin.name else 'nearest'} “{origin.best}”"
        f"{f' ({origin.document})' if origin.document else ''}: cosine "
        f"{plain(origin.cosine, 2)}, ahead by {plain(origin.margin, 2)}, {borne_out(origin)}"
    )
    return {
        "text": candidate.text,
        "told": told,
        "state": "selected"
        if candidate.concept_id in chosen
        else f"dropped: {reason}"
        if reason
        else "",
        "pictures": [
            draft.picture(i, f"shows most of “{candidate.text}”")
            for i in origin.images[: min(_PICTURES, draft.spec.images_per_concept)]
        ],
    }
