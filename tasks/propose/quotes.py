"""Where in a text a quote stands, although a prompt showed the text tidied."""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from jaxtyping import Int

from curette.tasks.methods.llm.quoting import quotable

SHORTEST: Final = 10
"""Characters: less stands anywhere by chance."""

_UNSEEN: Final = ("Cf", "Cn", "Co", "Cs")


@dataclass(frozen=True)
class Tidied:
    """A text as `quotable` shows it, which knows where each character came from."""

    shown: str
    places: Int[np.ndarray, " character"]
    """Of each character shown, in the original text."""


@lru_cache(maxsize=8)  # several quotes may be looked for in one long document
def tidy(text: str) -> Tidied:
    """Return the text as `quotable` shows it without a limit.

    Runs of blanks, control characters and `<` `>` are one blank, and none at the ends; characters
    that nobody sees are left out.
    """
    shown: list[str] = []
    places: list[int] = []
    blank = -1
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if category in _UNSEEN:
            continue
        if character in "<>" or category == "Cc" or character.isspace():
            blank = place if blank < 0 else blank
            continue
        if blank >= 0 and shown:
            shown.append(" ")
            places.append(blank)
        blank = -1
        shown.append(character)
        places.append(place)
    return Tidied("".join(shown), np.array(places, dtype=np.int32))


def find_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Return where a quote first stands in a text: `text[start:end]` is the text's own wording.

    The characters must be the same but for what a prompt tidies (`tidy`), and the quote must not
    begin or end inside a word: "symmetric shape" is not in "asymmetric shape".
    """
    wanted = quotable(quote, len(quote))
    if not wanted:
        return None
    tidied = tidy(text)
    start = tidied.shown.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if not (_inside_word(tidied.shown, start) or _inside_word(tidied.shown, end)):
            return int(tidied.places[start]), int(tidied.places[end - 1]) + 1
        start = tidied.shown.find(wanted, start + 1)
    return None


def _inside_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()
