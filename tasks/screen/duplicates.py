"""The duplicate gates: of statements that say the same, one stays and takes over their links."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from curette.schemas.candidates import Candidate
from curette.tasks.screen.contrasts import contrast, depends_on_order
from curette.tasks.screen.near_duplicates import nearest_kept
from curette.tasks.screen.words import stem, words

FILLERS = frozenset(
    words(
        """a an the of with and or is are was were be been being it its this that these those which
        who there has have having may can could often usually typically sometimes generally appear
        appears appearing present presence seen visible look looks some"""
    )
)
"""Words without which a statement says the same."""


@dataclass(frozen=True)
class Twin:
    """What stands in for a dropped statement."""

    kept: int
    """Its place among the statements."""
    cosine: float | None = None
    contrast: tuple[str, ...] = ()
    """Stems by which two statements that are alike to the encoder exclude each other."""


def content_stems(text: str) -> tuple[str, ...]:
    """Return the stems of a text's words without fillers, in their order."""
    return tuple(stem(word) for word in words(text) if word not in FILLERS)


def exact_twins(candidates: Sequence[Candidate]) -> dict[int, Twin]:
    """Return the statements that say in the same words what a preferred one says.

    Fillers, punctuation, plurals and, where nothing depends on it, the order of words do not
    count: "borders are irregular" is "irregular border".
    """
    first: dict[tuple[str, ...], int] = {}
    twins = {}
    for place in _preferred(candidates):
        kept = first.setdefault(plain_form(candidates[place].text), place)
        if kept != place:
            twins[place] = Twin(kept)
    return twins


def near_twins(
    candidates: Sequence[Candidate], vectors: Float[np.ndarray, "candidate dim"], cosine: float
) -> dict[int, Twin]:
    """Return the statements whose vector is at least `cosine` like that of a preferred one.

    Text encoders hardly tell "left" from "right" or "regular" from "irregular" apart. Such a pair
    cannot stay, since their scores would be the same, but one does not stand for the other: the
    twin carries the contrast.
    """
    order = np.array(_preferred(candidates), dtype=np.int64)
    kept, cosines = nearest_kept(vectors, order, cosine)
    stems = [content_stems(c.text) for c in candidates]
    return {
        place: Twin(int(other), float(cosines[place]), contrast(stems[place], stems[other]))
        for place, other in enumerate(kept)
        if other != place
    }


def merge_twins(
    candidates: Sequence[Candidate], twins: dict[int, Twin], class_keys: Sequence[str]
) -> tuple[Candidate, ...]:
    """Return the kept candidates with the classes and origins of those they stand for.

    A twin that contrasts with the one that stays leaves nothing to it.
    """
    families: dict[int, list[Candidate]] = {
        place: [c] for place, c in enumerate(candidates) if place not in twins
    }
    for place, twin in sorted(twins.items()):
        if not twin.contrast:
            families[twin.kept].append(candidates[place])
    return tuple(_merged(family, class_keys) for family in families.values())


def _merged(family: Sequence[Candidate], class_keys: Sequence[str]) -> Candidate:
    if len(family) == 1:
        return family[0]
    linked = {key for candidate in family for key in candidate.classes}
    return family[0].model_copy(
        update={
            "classes": tuple(key for key in class_keys if key in linked),
            "origins": tuple(dict.fromkeys(o for candidate in family for o in candidate.origins)),
        }
    )


def _preferred(candidates: Sequence[Candidate]) -> list[int]:
    """Return places: the most often proposed first, then the shortest, then the first."""
    return sorted(
        range(len(candidates)),
        key=lambda i: (-len(candidates[i].origins), len(candidates[i].text), i),
    )


def plain_form(text: str) -> tuple[str, ...]:
    """Return what is the same of two texts that say the same in the same words."""
    stems = content_stems(text) or tuple(words(text))
    return stems if depends_on_order(stems) else tuple(sorted(set(stems)))
