"""Which rows are nearly the same as which others: every pair, by range search. Arrays only."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64

COUNT_LIMIT = 1_000_000
"""Pairs after which the search for pairs ends: an encoder that finds more tells nothing apart."""
_QUERIES, _ROWS = 256, 65_536
"""One range search: at most 16.8 million results, or 200 MB, whatever the vectors are."""
_ROUNDING = 1e-6
"""What float32 may take from the inner product of two equal unit vectors."""


class Pairs(NamedTuple):
    """Pairs of rows and their cosine, in no order."""

    a: Int64[np.ndarray, " pair"]
    b: Int64[np.ndarray, " pair"]
    cosine: Float32[np.ndarray, " pair"]

    def take(self, chosen: Int64[np.ndarray, " chosen"]) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(self.a[chosen], self.b[chosen], self.cosine[chosen])


def pairs_between(
    known: Float32[np.ndarray, "known dim"],
    asked: Float32[np.ndarray, "asked dim"],
    min_cosine: float,
) -> Iterator[Pairs]:
    """Yield every pair of a known row `a` and an asked row `b` with cosine >= min_cosine.

    In blocks, so that memory stays bounded whatever the vectors are. Equal unit vectors count as
    cosine 1, although float32 may round below it.

    Args:
        known: of unit length.
        asked: likewise.
        min_cosine: in (0, 1].
    """
    import faiss

    for known_from in range(0, len(known), _ROWS):
        index = faiss.IndexFlatIP(known.shape[1])
        index.add(np.ascontiguousarray(known[known_from : known_from + _ROWS]))
        for start in range(0, len(asked), _QUERIES):
            block = np.ascontiguousarray(asked[start : start + _QUERIES])
            ends, cosine, rows = index.range_search(block, min_cosine - _ROUNDING)
            found = (ends[1:] - ends[:-1]).astype(np.int64)
            b = np.repeat(np.arange(start, start + len(block)), found)
            yield Pairs(known_from + rows, b, np.minimum(cosine, 1))


def is_near(
    known: Float32[np.ndarray, "known dim"],
    asked: Float32[np.ndarray, "asked dim"],
    min_cosine: float,
) -> Bool[np.ndarray, " asked"]:
    """Return which asked rows have a cosine of at least `min_cosine` with some known one."""
    found = np.zeros(len(asked), dtype=bool)
    for pairs in pairs_between(known, asked, min_cosine):
        found[pairs.b] = True
    return found


def find_pairs(
    vectors: Float32[np.ndarray, "row dim"], part: Int[np.ndarray, " row"], min_cosine: float
) -> Pairs:
    """Find every pair (a, b) with part[a] < part[b] and cosine >= min_cosine.

    Every row is compared with all rows of lower parts, block by block. The search ends once more
    than `COUNT_LIMIT` pairs are found, so memory stays bounded. Equal unit vectors count as
    cosine 1, although float32 may round below it.

    Args:
        vectors: of unit length.
        part: a number for each row.
        min_cosine: in (0, 1].
    """
    nothing = np.empty(0, dtype=np.int64)
    blocks, found = [Pairs(nothing, nothing, np.empty(0, dtype=np.float32))], 0
    for number in np.unique(part)[1:]:
        lower, rows = np.flatnonzero(part < number), np.flatnonzero(part == number)
        for block in pairs_between(vectors[lower], vectors[rows], min_cosine):
            blocks.append(Pairs(lower[block.a], rows[block.b], block.cosine))
            found += len(block.a)
            if found > COUNT_LIMIT:
                break
    return Pairs(*(np.concatenate(column) for column in zip(*blocks, strict=True)))
