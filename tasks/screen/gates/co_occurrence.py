"""The co-occurrence flag: pairs of concepts that the images cannot tell apart.

Concepts that always come together, or never do, are one concept to whatever is trained on them
(Furby et al., Can we constrain concept bottleneck models to learn semantically meaningful input
features?, 2024). That is a fact about the images and not about the words, so nothing is dropped.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool
from pydantic import Field

from curette.schemas.artifact import StudyError
from curette.schemas.screened import Flag
from curette.tasks.screen.activation import centred_scores, present
from curette.tasks.screen.gate import Candidates, Circumstances, Gate, Outcome
from curette.tasks.screen.wording import plain_form

MOST_CONCEPTS = 5_000
"""Of which every pair is compared: 25 million tables take about a gigabyte."""
MOST_PAIRS = 200
"""Pairs that are flagged, the most alike; each says how many there are."""

_EXPECTED = 5
"""Images that an empty cell should hold by chance; with fewer its emptiness says nothing (Cochran,
Biometrics 10, 1954)."""
_CELLS = ("both", "only the first", "only the second", "neither")


class CoOccurrence(Gate, frozen=True):
    """The settings of the gate."""

    needs_images: ClassVar[bool] = True

    kind: Literal["co_occurrence"] = "co_occurrence"
    max_jaccard: float = Field(default=0.95, gt=0, le=1, description="more overlap is flagged")

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Flag pairs of concepts that the training images cannot tell apart.

        Where an attribute has a concept's name it says on which images the concept is present;
        elsewhere its scores do.
        """
        images = known.training_images(self.kind)
        if len(left) < 2 or not len(images.vectors):
            return Outcome(left)
        if len(left) > MOST_CONCEPTS:
            raise StudyError(
                f"the gate co_occurrence compares every pair, and {len(left):,} concepts have too "
                f"many (at most {MOST_CONCEPTS:,}): leave it out of `screen.gates`, or put gates "
                "before it that drop more"
            )
        on = present(
            centred_scores(images.vectors, known.vectors(left), known.vectors(known.proposed))
        )
        for place, candidate in enumerate(left):
            if truth := images.truths.get(plain_form(candidate.text)):
                on[:, place] = np.where(truth.known, truth.present, on[:, place])
        pairs = sorted(
            indistinct_pairs(on, self.max_jaccard),
            key=lambda p: (-p.jaccard, p.first, p.second),
        )
        return Outcome(
            left,
            flags=tuple(
                Flag(
                    gate=self.kind,
                    concept_ids=(left[p.first].concept_id, left[p.second].concept_id),
                    warning=_warning(left[p.first].text, left[p.second].text, p, self.max_jaccard),
                    evidence={
                        "jaccard": round(p.jaccard, 4),
                        "empty": [*p.empty],
                        "pairs_found": len(pairs),
                    },
                )
                for p in pairs[:MOST_PAIRS]
            ),
        )


@dataclass(frozen=True)
class Pair:
    """Two concepts by their places, and what is remarkable about them."""

    first: int
    second: int
    jaccard: float
    """Images with both / images with either."""
    empty: tuple[str, ...]
    """Cells of the 2x2 table that hold no image but should."""


def indistinct_pairs(present: Bool[np.ndarray, "image concept"], max_jaccard: float) -> list[Pair]:
    """Return the pairs whose Jaccard index is above the limit or whose table has an empty cell.

    Takes O(image concept^2) time and O(concept^2) memory: for pools of some thousand concepts.
    """
    count = len(present)
    on = present.astype(np.float32)
    both = (on.T @ on).astype(np.int64)
    single = np.diag(both)
    only_first, only_second = single[:, None] - both, single[None, :] - both
    either = both + only_first + only_second
    jaccard = np.divide(both, either, out=np.zeros(both.shape), where=either > 0)
    off = count - single
    observed = (both, only_first, only_second, count - either)
    expected = [np.outer(a, b) / count for a in (single, off) for b in (single, off)]
    empty = [(o == 0) & (e >= _EXPECTED) for o, e in zip(observed, expected, strict=True)]
    remarkable = np.triu((jaccard > max_jaccard) | np.any(empty, axis=0), k=1)
    return [
        Pair(
            first=int(i),
            second=int(j),
            jaccard=float(jaccard[i, j]),
            empty=tuple(name for name, cell in zip(_CELLS, empty, strict=True) if cell[i, j]),
        )
        for i, j in np.argwhere(remarkable)
    ]


def _warning(first: str, second: str, pair: Pair, max_jaccard: float) -> str:
    if pair.jaccard > max_jaccard:
        return (
            f"'{first}' and '{second}' come together on {pair.jaccard:.1%} of the training images "
            "that have either: nothing trained on them can tell which is meant"
        )
    return (
        f"no training image has {' or '.join(pair.empty)} of '{first}' and '{second}', though "
        "chance alone would give some"
    )
