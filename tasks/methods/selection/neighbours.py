"""How candidates resemble each other: all of them, or each one's nearest neighbours.

A dense similarity of n candidates has n^2 entries. Beyond a limit only the k nearest candidates of
each item are kept and coverage counts all others as 0 (Lindgren, Wu and Dimakis, "Leveraging
sparsity for efficient submodular data summarization", NIPS 2016: what represents an item in a good
selection is among its nearest). Rows are the items: each names its own k nearest and no more. The
transposed entries (of those that name the item) are left out: an item's neighbours are the best
that can stand for it, longer rows would favour items in dense regions, and a union of both brought
no more of the exact objective (`docs/decisions/010-sparse-selection.md`).

Neighbours are searched for exactly in smaller pools. In larger ones spherical k-means divides the
vectors into sqrt(n) cells and all items of a cell are compared at once with those of the cells
nearest to its centre: the cells and probes of an inverted file (Sivic and Zisserman, ICCV 2003),
but as one matrix product a cell, where an inverted file takes query by query.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64
from scipy.sparse import csr_array

DENSE_BYTES = 2**30
"""The largest dense similarity, of four bytes an entry: 16,384 candidates."""
EXACT_SEARCH = 2**15
"""Up to so many vectors each is compared with each; 32,768 of 512 dimensions take 1.1 TFLOP."""
LEAST_NEIGHBOURS, MOST_NEIGHBOURS = 64, 256

_PROBES = 8
_ITERATIONS, _SAMPLE = 6, 48  # of k-means; vectors a cell that it learns from


def neighbours_counted(candidates: int, picks: int) -> int | None:
    """Return how many nearest neighbours coverage counts, an item with itself; None counts all.

    One pick stands for n / picks items on average. A quarter of that many neighbours, within
    limits, was enough for 0.98 of the exact objective.
    """
    if 4 * candidates**2 <= DENSE_BYTES:
        return None
    return min(max(candidates // (4 * picks), LEAST_NEIGHBOURS), MOST_NEIGHBOURS)


def cosines(vectors: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row row"]:
    """Return max(0, x_i . x_j) for unit vectors."""
    similarity = vectors @ vectors.T
    return np.maximum(0, similarity, out=similarity)


def nearest_cosines(vectors: Float[np.ndarray, "row dim"], count: int) -> csr_array:
    """Return max(0, x_i . x_j) for the `count` nearest j of each i, itself among them.

    Args:
        vectors: of unit length.
        count: neighbours a row, at least 1; rows get fewer where fewer have a cosine above 0.

    Returns:
        A square array, 0 but for the neighbours; not symmetric.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    count = min(count, len(rows))
    search = _search_all if len(rows) <= EXACT_SEARCH else _search_cells
    cosine = np.zeros((len(rows), count), dtype=np.float32)
    nearest = np.full((len(rows), count), -1, dtype=np.int32)
    for of_rows, scores, found in search(rows, count):
        cosine[of_rows, : found.shape[1]] = scores
        nearest[of_rows, : found.shape[1]] = found
    _include_itself(cosine, nearest)
    np.maximum(0, cosine, out=cosine)
    np.maximum(0, nearest, out=nearest)
    ends = np.arange(len(rows) + 1) * count
    similarity = csr_array((cosine.ravel(), nearest.ravel(), ends), shape=(len(rows), len(rows)))
    similarity.eliminate_zeros()
    return similarity


_Found = tuple[
    Int64[np.ndarray, " query"],
    Float32[np.ndarray, "query neighbour"],
    Int64[np.ndarray, "query neighbour"],
]


def _search_all(vectors: Float32[np.ndarray, "row dim"], count: int) -> Iterator[_Found]:
    yield np.arange(len(vectors)), *_nearest(vectors, vectors, count)


def _search_cells(vectors: Float32[np.ndarray, "row dim"], count: int) -> Iterator[_Found]:
    """Compare each cell's rows with those of the nearest cells."""
    import faiss

    means = faiss.Kmeans(
        vectors.shape[1],
        int(np.sqrt(len(vectors))),
        niter=_ITERATIONS,
        max_points_per_centroid=_SAMPLE,
        spherical=True,
        seed=0,
    )
    means.train(vectors)
    centres = np.asarray(means.centroids)
    cell = _nearest(vectors, centres, 1)[1][:, 0]
    order = np.argsort(cell, kind="stable")
    members = np.split(order, np.searchsorted(cell[order], np.arange(1, len(centres))))
    near = _nearest(centres, centres, min(_PROBES, len(centres)))[1]
    for own, probes in zip(members, near, strict=True):
        if len(own):
            others = np.concatenate([members[probe] for probe in probes])
            scores, places = _nearest(vectors[own], vectors[others], min(count, len(others)))
            yield own, scores, others[places]


def _nearest(
    queries: Float32[np.ndarray, "query dim"], rows: Float32[np.ndarray, "row dim"], count: int
) -> tuple[Float32[np.ndarray, "query neighbour"], Int64[np.ndarray, "query neighbour"]]:
    import faiss

    return faiss.knn(queries, rows, count, metric=faiss.METRIC_INNER_PRODUCT)


def _include_itself(
    cosine: Float32[np.ndarray, "row neighbour"], nearest: Int32[np.ndarray, "row neighbour"]
) -> None:
    """Let a row that its own copies crowded out take the place of the last of them."""
    itself = np.arange(len(nearest), dtype=np.int32)
    lost = np.flatnonzero(~(nearest == itself[:, None]).any(axis=1))
    cosine[lost, -1] = np.maximum(1, cosine[lost, 0])
    nearest[lost, -1] = lost
