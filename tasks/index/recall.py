"""How many of the nearest rows an index finds, beside exact search."""

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64

from curette.tasks.index.faiss_index import search, search_exactly

_NEAREST = 10
_ROUNDING = 1e-6
"""Two ways to the same inner product differ by less in float32."""


def spread_rows(count: int, sample: int) -> Int64[np.ndarray, " row"]:
    """Return up to `sample` rows, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, sample)).astype(np.int64))


def recall_at_10(
    index: faiss.Index,
    vectors: Float32[np.ndarray, "row dim"],
    rows: Int64[np.ndarray, " query"],
) -> float:
    """Return the share of the 10 nearest other rows that the index finds, the mean over queries.

    A row found counts if it is as near as the tenth nearest, so ties are no misses. The row that
    asks does not count: it would be found anywhere.

    Args:
        index: of the vectors; ids are their rows.
        vectors: all of them.
        rows: which of them ask.
    """
    queries = vectors[rows]
    wanted = _of_others(*search_exactly(vectors, queries, _NEAREST + 1), rows)
    found = _of_others(*search(index, queries, _NEAREST + 1), rows)
    return float((found >= wanted[:, -1:] - _ROUNDING).mean())


def _of_others(
    scores: Float32[np.ndarray, "query hit"],
    ids: Int64[np.ndarray, "query hit"],
    rows: Int64[np.ndarray, " query"],
) -> Float32[np.ndarray, "query other"]:
    """Return the scores without the asking row's own; where it was not found, without the last."""
    own: Bool[np.ndarray, "query hit"] = ids == rows[:, None]
    own[~own.any(axis=1), -1] = True
    return scores[~own].reshape(len(rows), -1)
