"""What must not be in two places: images, patients, class names, concepts. Texts and arrays."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32


class Conflict(NamedTuple):
    """A thing that stands in more than one place."""

    row: int
    """Where it stands first."""
    thing: str
    places: dict[str, int]
    """Place -> how many rows, in order of appearance."""


class Twins(NamedTuple):
    """Two rows that are almost the same."""

    first: int
    second: int
    cosine: float


def conflicts(things: Sequence[str | None], places: Sequence[str | None]) -> list[Conflict]:
    """Return every thing that stands in more than one place, in order of first appearance.

    Args:
        things: a patient, lesion or hash a row; empty where it is not known.
        places: its split or label; empty rows count for nothing.

    Raises:
        ValueError: the two are not of one length.
    """
    found: dict[str, Conflict] = {}
    for row, (thing, place) in enumerate(zip(things, places, strict=True)):
        if thing and place:
            seen = found.setdefault(thing, Conflict(row, thing, {}))
            seen.places[place] = seen.places.get(place, 0) + 1
    return [c for c in found.values() if len(c.places) > 1]


def class_name_in(text: str, names: Sequence[str]) -> str | None:
    """Return the first of the names that the text contains as whole words, or None.

    Case, punctuation and hyphens do not count, and a plural is found too: "Basal-cell carcinomas"
    contains "basal cell carcinoma", "nevoid" does not contain "nevus". A name without two letters
    in a row (a number, a single letter) tells nothing and is found nowhere.
    """
    words = _words(text)
    for name in names:
        phrase = _words(name).rstrip()
        telling = re.search(r"[^\W\d_]{2}", phrase)
        if telling and (f"{phrase} " in words or f"{phrase}s " in words):
            return name
    return None


def twins(vectors: Float32[np.ndarray, "row dim"], cosine: float) -> list[Twins]:
    """Return the pairs of unit vectors whose cosine is at least `cosine`, by row."""
    similarity = np.triu(vectors @ vectors.T, k=1)
    return [
        Twins(int(i), int(j), float(similarity[i, j])) for i, j in np.argwhere(similarity >= cosine)
    ]


def _words(text: str) -> str:
    """Return the words in lower case, one space before, between and after them."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(["", *re.findall(r"[^\W_]+", folded), ""])
