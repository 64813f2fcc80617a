"""Exact search by inner product with FAISS. Arrays only; an index's ids are row numbers."""

from collections.abc import Iterator
from typing import NamedTuple

import faiss
import numpy as np
from jaxtyping import Float32, Int, Int64, UInt8

COUNT_LIMIT = 1_000_000
"""Pairs after which the search for pairs ends: an encoder that finds more tells nothing apart."""
_QUERIES, _ROWS = 256, 65_536
"""One range search: at most 16.8 million results, or 200 MB, whatever the vectors are."""
_ROUNDING = 1e-6
"""What float32 may take from the inner product of two equal unit vectors."""


def build_flat(vectors: Float32[np.ndarray, "row dim"]) -> faiss.IndexFlatIP:
    """Return an exact index; the inner product of unit vectors is their cosine."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


def serialise(index: faiss.Index) -> UInt8[np.ndarray, " byte"]:
    """Return the index as FAISS's own bytes."""
    return faiss.serialize_index(index)


def deserialise(content: UInt8[np.ndarray, " byte"]) -> faiss.Index:
    """Return the index that was serialised.

    FAISS trusts what it reads: give it only bytes whose digest was checked, as the store does.
    """
    return faiss.deserialize_index(content)


def search(
    index: faiss.Index, queries: Float32[np.ndarray, "query dim"], k: int
) -> tuple[Float32[np.ndarray, "query hit"], Int64[np.ndarray, "query hit"]]:
    """Return scores and ids of the k best rows for each query, best first, ties by id.

    There are fewer hits than k where the index is smaller.
    """
    scores, ids = index.search(np.ascontiguousarray(queries), min(k, index.ntotal))
    order = np.lexsort((ids, -scores))
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)


class Pairs(NamedTuple):
    """Pairs of rows, most alike first, ties by row."""

    a: Int64[np.ndarray, " pair"]
    b: Int64[np.ndarray, " pair"]
    cosine: Float32[np.ndarray, " pair"]

    def best(self, count: int) -> "Pairs":
        """Return the most alike pairs."""
        order = np.lexsort((self.b, self.a, -self.cosine))[:count]
        return Pairs(self.a[order], self.b[order], self.cosine[order])


def find_pairs(
    vectors: Float32[np.ndarray, "row dim"],
    part: Int[np.ndarray, " row"],
    min_cosine: float,
    count: int,
) -> tuple[Pairs, int]:
    """Find the most alike pairs (a, b) with part[a] < part[b] and cosine >= min_cosine.

    Every row is compared with all rows of lower parts. Memory stays bounded: the search goes
    block by block and keeps the best pairs so far. It ends early once more than `COUNT_LIMIT`
    pairs are found. Equal unit vectors count as cosine 1, although float32 may round below it.

    Args:
        vectors: of unit length.
        part: a number for each row.
        min_cosine: in (0, 1].
        count: how many pairs to return at most.

    Returns:
        The pairs, and how many there were before the list was cut to `count`.
    """
    nothing = np.empty(0, dtype=np.int64)
    best = Pairs(nothing, nothing, np.empty(0, dtype=np.float32))
    found = 0
    for block in _blocks_of_pairs(vectors, part, min_cosine - _ROUNDING):
        found += len(block.a)
        best = Pairs(*(np.concatenate(both) for both in zip(best, block, strict=True))).best(count)
        if found > COUNT_LIMIT:
            break
    return best, found


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
