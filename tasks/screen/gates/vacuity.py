"""The vacuity gate: does a statement say anything that could be otherwise?

Three kinds of statement are true of every image: those that take back what they say ("may or may
not be raised"), those that leave open which of two opposites holds ("smooth or rough"), and those
that were proposed for every class, which tell none from another.
"""

from functools import cache
from typing import Literal

from curette.schemas.candidates import Candidate
from curette.tasks.methods.wording.phrases import Phrases
from curette.tasks.methods.wording.words import stem, words
from curette.tasks.screen.contrasts import negates, opposite
from curette.tasks.screen.gate import Candidates, Circumstances, Finding, Gate, Outcome, one_by_one

_REACH = 3

HEDGES = """
    may or may not, might or might not, can or cannot, with or without, or not,
    person to person, patient to patient, individual to individual, case to case, image to image,
    lesion to lesion, eye to eye, one to another, one to the next, from one *, between patients,
    between people, between individuals, among patients, among people, in each patient,
    can vary, may vary, could vary, might vary, can differ, may differ, could differ, might differ,
    can look different, may look different, can appear different, may appear different,
    can be different, may be different, vary by, varies by, vary with, varies with,
    any color*, any shape*, any size*, any pattern*, any form, any texture,
    many forms, many ways, different ways, various ways, various forms, all kinds, all sorts,
    depend* on, depend* upon, not always, no specific, no particular, no typical,
    no characteristic, nothing specific, not specific, nonspecific, non specific, unpredictab*
"""
"""Phrases by which a statement takes itself back, in the notation of `methods.wording.lexicon`.

"Nuclei vary in size" and "halves that look different" are not among them: an image shows that.
"""


class Vacuity(Gate, frozen=True):
    """The settings of the gate: it has none."""

    kind: Literal["vacuity"] = "vacuity"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Drop what could not be otherwise."""
        own = {c.concept_id: c for c in known.proposed}
        classes = len(known.classes)
        return one_by_one(self.kind, left, lambda c: _finding(own.get(c.concept_id, c), classes))


def hedge(text: str) -> str:
    """Return the words by which a text takes back what it says; empty where nothing does."""
    return next((hit.words for hit in _hedges().find(words(text))), "")


def both_ways(text: str) -> tuple[str, ...]:
    """Return two opposites between which a text leaves open which holds; () if there are none.

    They stand on either side of an "or", at most `_REACH` words from it.
    """
    said = words(text)
    for place in (i for i, word in enumerate(said) if word == "or"):
        after = said[place + 1 : place + 1 + _REACH]
        for one in said[max(0, place - _REACH) : place]:
            for before, other in zip(["", *after], after, strict=False):
                if opposite(stem(one), stem(other)):
                    return one, other
                if stem(one) == stem(other) and negates(before):
                    return one, f"{before} {other}"
    return ()


def says_it_of_every_class(candidate: Candidate, classes: int) -> bool:
    """Return whether every class of the study was said to have this.

    The gate asks it of what was proposed in these words: links taken over from other statements
    say that they mean the same to a rule or an encoder, not that anybody said so of every class.
    A list that was written for all classes at once (one origin, all classes) has not said it of
    each. So a statement needs as many origins as there are classes; and with two classes, one that
    both have may still be a matter of degree.
    """
    return len(candidate.classes) == classes >= 3 and len(candidate.origins) >= classes


def _finding(candidate: Candidate, classes: int) -> Finding | None:
    if words := hedge(candidate.text):
        return Finding(f"takes itself back: '{words}'", {"words": [words]})
    if opposites := both_ways(candidate.text):
        return Finding(
            f"says one thing or its opposite: '{opposites[0]}' or '{opposites[1]}'",
            {"words": [*opposites]},
        )
    if says_it_of_every_class(candidate, classes):
        return Finding(
            f"was proposed for all {classes} classes, so it distinguishes none",
            {"classes": [*candidate.classes], "origins": len(candidate.origins)},
        )
    return None


@cache
def _hedges() -> Phrases[str]:
    return Phrases({" ".join(p.split()): "hedge" for p in HEDGES.split(",")})
