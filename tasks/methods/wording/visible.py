"""Whether a statement says something that an image can show.

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

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from curette.tasks.methods.wording.lexicon import LEXICON, Category, Weight
from curette.tasks.methods.wording.phrases import Hit, Phrases
from curette.tasks.methods.wording.words import fold, words


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


def truncation(text: str) -> str:
    """Return what shows that a text was cut off; empty where nothing does."""
    text = text.strip()
    if text.count("(") != text.count(")"):
        return "an open bracket"
    if re.search(r"(\.\.|…|[-–,;:(/&])$", text):
        return text[-3:].strip()
    last = fold(text).rstrip(".?!\"'").split()[-1:]
    return last[0] if last and last[0] in DANGLING else ""


DANGLING = frozenset(
    words(
        """a an the of in on at to by for from with without and or but nor than as is are was
        were be been being may can could might will would has have had do does did that which
        who whose where when while because such including into onto between among through
        during upon if very its their these those depending due often usually typically
        sometimes cause causes caused called tend tends no not"""
    )
)
"""Words that cannot end a whole statement; one that does was cut off."""


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


@cache
def _phrases() -> Phrases[Category]:
    return Phrases({pattern: category for category in LEXICON for pattern in category.patterns})


def _of(hits: Sequence[Hit[Category]], weight: Weight) -> list[Hit[Category]]:
    return [h for h in hits if h.meaning.weight == weight]
