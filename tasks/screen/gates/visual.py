"""The visual gate: does a statement say something that an image can show?

The words of a statement are read with a lexicon of kinds of things that statements about disease
speak of, and one rule decides:

1. a statement that was cut off is not visual;
2. nor is one with a word of which no image shows anything (treatment, symptoms, who has it, a
   course in time), whatever else it says;
3. nor one with a word that an image seldom shows (a cause, touch, behaviour), unless it also
   describes an appearance: "firm nodule" is not visual, "firm pink nodule" is;
4. nor one that names neither an appearance nor a structure.

Rule 4 asks for evidence instead of assuming the best: there are many more ways of not speaking
about an image than of speaking about one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

from curette.schemas.candidates import Candidate
from curette.tasks.screen.gate import (
    Candidates,
    Circumstances,
    Doubt,
    Finding,
    Gate,
    Outcome,
    one_by_one,
)
from curette.tasks.screen.gates.form import truncation
from curette.tasks.screen.lexicon import LEXICON, Category, Weight
from curette.tasks.screen.phrases import Hit, Phrases
from curette.tasks.screen.words import words


class Visual(Gate, frozen=True):
    """The settings of the gate: it has none."""

    about_names: ClassVar[bool] = True

    kind: Literal["visual"] = "visual"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:  # noqa: ARG002
        """Drop what no image shows; doubt what also speaks of something else."""
        return one_by_one(self.kind, left, _finding, _doubt)


@dataclass(frozen=True)
class NotVisual:
    """Why a statement is not visual."""

    category: str
    """The kind of thing it speaks of, or `truncated`, or `nothing visible`."""
    meaning: str
    """Completes the sentence 'it ...'."""
    words: tuple[str, ...] = ()
    """The words that gave it away."""
    visible: tuple[str, ...] = ()
    """Words that an image could show, which did not outweigh them."""


def why_not_visual(text: str) -> NotVisual | None:
    """Return why an image cannot show what the text says; None where it can."""
    if cut := truncation(text):
        return NotVisual("truncated", "was cut off", (cut,))
    hits = list(_phrases().find(words(text)))
    visible = _of(hits, "appearance") + _of(hits, "structure")
    against = _of(hits, "never") or ([] if _of(hits, "appearance") else _of(hits, "seldom"))
    if against:
        category = against[0].meaning
        found = tuple(h.words for h in against if h.meaning == category)
        seen = tuple(h.words for h in visible)
        return NotVisual(category.name, f"speaks of {category.meaning}", found, seen)
    if visible:
        return None
    places = _of(hits, "place")
    if places:
        category = places[0].meaning
        found = tuple(h.words for h in places if h.meaning == category)
        return NotVisual(category.name, f"only says {category.meaning}", found)
    return NotVisual("nothing visible", "names nothing that an image shows")


def what_is_outweighed(text: str) -> NotVisual | None:
    """Return what would make a visual statement not visual but for the appearance it describes."""
    hits = list(_phrases().find(words(text)))
    seldom, appearance = _of(hits, "seldom"), _of(hits, "appearance")
    if not seldom or not appearance or _of(hits, "never"):
        return None
    category = seldom[0].meaning
    return NotVisual(
        category.name,
        f"speaks of {category.meaning}",
        tuple(h.words for h in seldom if h.meaning == category),
        tuple(h.words for h in appearance),
    )


def _finding(candidate: Candidate) -> Finding | None:
    why = why_not_visual(candidate.text)
    if not why:
        return None
    by = ": " + ", ".join(f"'{w}'" for w in why.words) if why.words else ""
    return Finding(
        f"{why.meaning}{by}",
        {"category": why.category, "words": [*why.words], "visible": [*why.visible]},
    )


def _doubt(candidate: Candidate) -> Doubt | None:
    why = what_is_outweighed(candidate.text)
    if not why:
        return None
    return Doubt(0.5, f"{why.meaning} ('{why.words[0]}') as well as of '{why.visible[0]}'")


@cache
def _phrases() -> Phrases[Category]:
    return Phrases({pattern: category for category in LEXICON for pattern in category.patterns})


def _of(hits: Sequence[Hit[Category]], weight: Weight) -> list[Hit[Category]]:
    return [h for h in hits if h.meaning.weight == weight]
