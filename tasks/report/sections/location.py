"""Are the concepts that speak for decisions seen in the lesion?"""

from collections.abc import Callable
from typing import Any

from curette.schemas.heads import EXPLAINED
from curette.schemas.metrics import Estimate
from curette.schemas.questions.location import ConceptLocation, LocatedReasons
from curette.tasks.methods.page.numbers import signed
from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.report.material import Draft

_HEAT_PX = 144
_NOTE = (
    "The heat of a place is the cosine of the encoder's vector there with the concept's text: the "
    "attention that pools places is taken away, nothing is trained. CLM: the share of the lesion "
    "that lies in the hottest quarter of the image. Where lesions mostly lie in the middle, heat "
    "that is only ever in the middle does well too. How far heat is ahead of others stands beside "
    "it: what it reaches beyond other images’ heat in this lesion, and beyond itself in other "
    "lesions. The others are images for which the same concept speaks: all would not do, since one "
    "that goes with small lesions has less to hit than they. Heat that knows nothing of this very "
    "image is ahead by 0. Concepts that speak on images of fewer than six independent groups are "
    "left out of this. Any concept is all selected ones on the same image."
)
_CONCEPTS_NOTE = (
    "Wherever a concept speaks for a decision of the concept bottleneck. Nobody has said which "
    "concepts are about the lesion: one that is about the skin, hairs or a ruler is rightly seen "
    "beside it and stands low without fault. What a statement denies is not there to be seen "
    "either."
)


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return where concepts are seen, or why nobody knows."""
    if draft.evaluation is None:
        return None
    return location_section(draft.evaluation.location, draft.book, draft.image_name)


def location_section(
    location: ConceptLocation, book: PictureBook, name_of: Callable[[str], str] = str
) -> dict[str, Any]:
    """Return what the template places; `name_of` says how a person finds an image by its id."""
    left_out = [{"image": name_of(x.image_id), "reason": x.reason} for x in location.left_out]
    if location.not_computable or not location.heads:
        reason = location.not_computable or "no concept speaks for a decision about these images"
        said = f"Where concepts are seen (CLM) is not computable: {reason}."
        return {"meaning": said, "overview": "", "left_out": left_out, "heads": []}
    counts = sorted({line.reasons for line in location.heads})
    names = dict.fromkeys(line.head for line in location.heads)
    by_head = {name: {x.reasons: x for x in location.heads if x.head == name} for name in names}
    return {
        "meaning": _meaning(location),
        "overview": _overview(location),
        "truth": _truth(location),
        "left_out": left_out,
        "note": _NOTE,
        "lesion": f"{location.lesion:.3f}",
        "columns": ["strongest reason" if n == 1 else f"{n} strongest" for n in counts],
        "heads": [
            {
                "head": name,
                "cells": [_cell(lines.get(n)) for n in counts],
                "peak": lines[min(lines)].peak,
            }
            for name, lines in by_head.items()
        ],
        "concepts_note": _CONCEPTS_NOTE,
        "concepts": [
            {
                "text": c.text,
                "denied": c.denied,
                "images": f"{c.images:,}",
                "clm": c.clm,
                "ahead": _lead(c.ahead_of_others),
                "peak": c.peak,
            }
            for c in location.concepts
        ],
        "examples": [
            {
                "css": book.heat(x.image_id, x.heat, location.view, _HEAT_PX),
                "alt": f"where “{x.text}” is seen on {name_of(x.image_id)}",
                "text": x.text,
                "clm": f"{x.clm:.0%}",
            }
            for x in location.examples
        ],
    }


def _meaning(location: ConceptLocation) -> str:
    """Say in one sentence whether heat is about the very lesion."""
    first = min(location.heads, key=lambda x: (x.head_kind != EXPLAINED, x.reasons))
    lies = f"{first.clm.value:.0%} of the lesion lies where the strongest reason is seen"
    ahead = first.ahead_of_others
    if ahead is None or ahead.low <= 0:
        return f"{lies}; nothing shows that it finds the very lesion."
    return f"{lies}, which is more than knowing where lesions usually lie."


def _overview(location: ConceptLocation) -> str:
    first = min(location.heads, key=lambda x: (x.head_kind != EXPLAINED, x.reasons))
    rows, columns = location.grid
    ahead = first.ahead_of_others
    said = (
        f"On {location.images:,} test images with a mask, at the encoder's {rows} × {columns} "
        f"places, {first.clm.value:.0%} of the lesion lies where the strongest reason for a "
        f"decision is hottest (heat that knows nothing: {location.region:.0%}; the mask itself as "
        f"heat: {location.most:.0%}). Of the heat of all "
        f"selected concepts it is {first.clm.value - first.ahead_of_any.value:.0%}"
    )
    if ahead is None:
        return f"{said}. There are too few other people with the same reason to compare with."
    said = f"{said}. It is ahead of the other images that have the same reason by {_lead(ahead)}: "
    if ahead.low > 0:
        return (
            f"{said}that much is about this lesion, the rest is knowing where such lesions "
            "usually lie."
        )
    return (
        f"{said}the heat may know where such lesions usually lie, but nothing shows that it "
        "finds this one."
    )


def _truth(location: ConceptLocation) -> str:
    """Say whether it matters that a concept is really there; empty where nobody knows."""
    lines = {line.shown: line for line in location.by_truth}
    if len(lines) < 2:
        return ""
    there, not_there = (
        f"{line.clm.value:.0%}, ahead of others by {_lead(line.ahead_of_others)}"
        for line in (lines[True], lines[False])
    )
    return (
        f"By the ground truth about {lines[True].concepts} concepts: where a concept is there its "
        f"hottest quarter holds {there}; where it is not, {not_there}."
    )


def _cell(line: LocatedReasons | None) -> dict[str, Any] | None:
    if line is None:
        return None
    return {
        "clm": line.clm,
        "beside": [
            f"ahead of others {_lead(line.ahead_of_others)}",
            f"of any concept {_lead(line.ahead_of_any)}",
        ],
    }


def _lead(e: Estimate | None) -> str:
    return f"{signed(e.value)} ({signed(e.low)} to {signed(e.high)})" if e else "–"
