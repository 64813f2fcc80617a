"""Near-duplicates across parts: every pair by range search, and stars of them. Arrays only."""

from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int64

from curette.tasks.index.faiss_index import build_flat

COUNT_LIMIT = 1_000_000
"""Pairs after which the search for pairs ends: an encoder that finds more tells nothing apart."""
_QUERIES, _ROWS = 256, 65_536
"""One range search: at most 16.8 million results, or 200 MB, whatever the vectors are."""
_ROUNDING = 1e-6
"""What float32 may take from the inner product of two equal unit vectors."""


class Pairs(NamedTuple):
    """Pairs of rows, in no order."""

    a: Int64[np.ndarray, " pair"]
    b: Int64[np.ndarray, " pair"]
    cosine: Float32[np.ndarray, " pair"]

    def take(self, chosen: Int64[np.ndarray, " chosen"]) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(self.a[chosen], self.b[chosen], self.cosine[chosen])


class Star(NamedTuple):
    """A row, and rows that are each like it, most alike first, ties by row."""

    center: int
    rows: Int64[np.ndarray, " row"]
    cosine: Float32[np.ndarray, " row"]


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
    for block in _blocks_of_pairs(vectors, part, min_cosine - _ROUNDING):
        blocks.append(block)
        found += len(block.a)
        if found > COUNT_LIMIT:
            break
    return Pairs(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


def stars(pairs: Pairs) -> list[Star]:
    """Group the pairs into stars: each b once, with an a that it is like itself.

    Centers are chosen one by one, each the one that is like most b without a center yet (the
    greedy cover; ties to the lower row). Then every b goes to the center that it is most like. So
    a burst of frames is one star or a few, no b is missed, and nothing is chained: two ends that
    are not alike share a star only with a center that both are like.

    Returns:
        The stars, that of the most alike pair first, ties by center.
    """
    if not len(pairs.a):
        return []
    centers = _cover(pairs)
    kept = pairs.take(np.flatnonzero(np.isin(pairs.a, centers)))
    best = kept.take(np.lexsort((kept.a, -kept.cosine, kept.b)))
    _, first = np.unique(best.b, return_index=True)
    best = best.take(first)
    best = best.take(np.lexsort((best.b, -best.cosine, best.a)))
    found, starts = np.unique(best.a, return_index=True)
    rows, cosines = np.split(best.b, starts[1:]), np.split(best.cosine, starts[1:])
    grouped = [Star(int(a), r, c) for a, r, c in zip(found, rows, cosines, strict=True)]
    return sorted(grouped, key=lambda star: (-star.cosine[0], star.center))


def _cover(pairs: Pairs) -> list[int]:
    """Return rows `a` that together are like every `b`, by lazy greedy.

    What a row would cover only shrinks, so the first of the heap that is still worth what it was
    worth is the best of all.
    """
    order = np.argsort(pairs.a, kind="stable")
    found, starts = np.unique(pairs.a[order], return_index=True)
    like = dict(zip(found.tolist(), np.split(pairs.b[order], starts[1:]), strict=True))
    heap = [(-len(rows), a) for a, rows in like.items()]
    heapify(heap)
    covered = np.zeros(pairs.b.max() + 1, dtype=bool)
    centers = []
    while heap:
        worth, a = heap[0]
        left = like[a][~covered[like[a]]]
        if len(left) == -worth:
            centers.append(a)
            covered[left] = True
            left = left[:0]
        if len(left):
            heapreplace(heap, (-len(left), a))
        else:
            heappop(heap)
    return centers


def _blocks_of_pairs(
    vectors: Float32[np.ndarray, "row dim"], part: Int[np.ndarray, " row"], radius: float
) -> Iterator[Pairs]:
    for number in np.unique(part)[1:]:
        lower, queries = np.flatnonzero(part < number), np.flatnonzero(part == number)
        for rows in _blocks(lower, _ROWS):
            index = build_flat(vectors[rows])
            for block in _blocks(queries, _QUERIES):
                ends, cosine, ids = index.range_search(vectors[block], radius)
                b = np.repeat(block, np.diff(ends.astype(np.int64)))
                yield Pairs(rows[ids], b, np.minimum(cosine, 1))


def _blocks(rows: Int64[np.ndarray, " row"], size: int) -> Iterator[Int64[np.ndarray, " part"]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
