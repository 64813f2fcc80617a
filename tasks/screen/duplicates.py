"""The duplicate gates: of statements that say the same, one stays and takes over their links."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from curette.schemas.candidates import Candidate
from curette.tasks.methods.alike.stand_ins import nearest_kept
from curette.tasks.screen.contrasts import contrast
from curette.tasks.screen.gate import Candidates, Doubt, Finding, Outcome, doubt_about, drop
from curette.tasks.screen.wording import content_stems, plain_form


@dataclass(frozen=True)
class Twin:
    """What stands in for a dropped statement."""

    kept: int
    """Its place among the statements."""
    cosine: float | None = None
    contrast: tuple[str, ...] = ()
    """Stems by which two statements that are alike to the encoder exclude each other."""


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
    candidates: Sequence[Candidate], twins: Mapping[int, Twin], class_keys: Sequence[str]
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


def one_of_each(
    gate: str,
    left: Candidates,
    twins: Mapping[int, Twin],
    class_keys: Sequence[str],
    find_almost: Callable[[Candidates], Mapping[int, Twin]] = lambda _: {},
) -> Outcome:
    """Let one of several equal candidates through, with all their links."""
    kept = merge_twins(left, twins, class_keys)
    return Outcome(
        kept=kept,
        dropped=tuple(
            drop(left[place], gate, _finding(twin, left[twin.kept]))
            for place, twin in sorted(twins.items())
        ),
        unsure=tuple(
            doubt_about(kept[place], gate, _doubt(twin, kept[twin.kept]))
            for place, twin in sorted(find_almost(kept).items())
        ),
    )


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


def _doubt(twin: Twin, kept: Candidate) -> Doubt:
    cosine = twin.cosine or 0.0
    return Doubt(0.5, f"is almost a duplicate of '{kept.text}' (cosine {cosine:.3f})")


def _finding(twin: Twin, kept: Candidate) -> Finding:
    evidence: dict[str, Any] = {"kept": kept.text, "kept_id": kept.concept_id}
    if twin.cosine is None:
        return Finding(f"says the same as '{kept.text}'", evidence)
    evidence |= {"cosine": twin.cosine}
    if not twin.contrast:
        return Finding(f"is nearly '{kept.text}' (cosine {twin.cosine:.3f})", evidence)
    return Finding(
        f"excludes '{kept.text}' but is nearly the same to the encoder (cosine {twin.cosine:.3f}); "
        "its classes are not carried over",
        evidence | {"contrast": [*twin.contrast]},
    )
