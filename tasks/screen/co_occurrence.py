"""The co-occurrence flag: pairs of concepts that the images cannot tell apart. Arrays only.

Concepts that always come together, or never do, are one concept to whatever is trained on them
(Furby et al., Can we constrain concept bottleneck models to learn semantically meaningful input
features?, 2024). That is a fact about the images and not about the words, so nothing is dropped.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

_EXPECTED = 5
"""Images that an empty cell should hold by chance; with fewer its emptiness says nothing (Cochran,
Biometrics 10, 1954)."""
_CELLS = ("both", "only the first", "only the second", "neither")


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
