"""FAISS by inner product: exact, or an inverted file. Arrays only; ids are row numbers."""

import faiss
import numpy as np
from jaxtyping import Float32, Int64, UInt8

_BLOCK = 65_536
_POINTS_PER_LIST = 64
"""Vectors a centroid is trained on; more took longer and found nothing more."""


def build_flat(vectors: Float32[np.ndarray, "row dim"]) -> faiss.IndexFlatIP:
    """Return an exact index; the inner product of unit vectors is their cosine."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    extend(index, vectors)
    return index


def build_ivf(vectors: Float32[np.ndarray, "row dim"], lists: int) -> faiss.IndexIVFFlat:
    """Return an inverted file: each vector in the list of its nearest centroid.

    A query is compared with the vectors of the `nprobe` lists whose centroids are nearest to it.
    The centroids are a spherical k-means of a sample; equal vectors give equal bytes.
    """
    dim = vectors.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = _POINTS_PER_LIST
    index.train(np.ascontiguousarray(vectors))
    extend(index, vectors)
    return index


def extend(index: faiss.Index, vectors: Float32[np.ndarray, "row dim"]) -> None:
    """Add vectors in place; their ids go on from the last one, and those before keep theirs.

    Nothing is trained: an inverted file keeps its centroids.
    """
    for start in range(0, len(vectors), _BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + _BLOCK]))


def serialise(index: faiss.Index) -> UInt8[np.ndarray, " byte"]:
    """Return the index as FAISS's own bytes."""
    return faiss.serialize_index(index)


def open_serialised(content: UInt8[np.ndarray, " byte"]) -> faiss.Index:
    """Return the index that was serialised, without a copy: its vectors stay in `content`.

    From memory-mapped bytes only what a query touches is read. Such an index is searched, never
    extended: FAISS ends the process that adds to a view (`faiss.deserialize_index` reads a copy,
    which grows). FAISS trusts what it reads: give it only bytes whose digest was checked, as the
    store does.
    """
    # FAISS's type stubs know neither the reader nor its own way of keeping what it points into.
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(content), content.nbytes)  # type: ignore[attr-defined]
    index = faiss.read_index(reader)
    index.referenced_objects = [content]  # type: ignore[attr-defined]
    return index


def search(
    index: faiss.Index, queries: Float32[np.ndarray, "query dim"], k: int
) -> tuple[Float32[np.ndarray, "query hit"], Int64[np.ndarray, "query hit"]]:
    """Return scores and ids of the k best rows for each query, best first, ties by id.

    There are fewer hits than k where the index is smaller. Where an inverted file has fewer rows
    in the lists looked at, the last ids are -1.
    """
    return _in_order(*index.search(np.ascontiguousarray(queries), min(k, index.ntotal)))


def search_exactly(
    vectors: Float32[np.ndarray, "row dim"], queries: Float32[np.ndarray, "query dim"], k: int
) -> tuple[Float32[np.ndarray, "query hit"], Int64[np.ndarray, "query hit"]]:
    """Do what `search` does in vectors that are searched once: no index, no copy of them."""
    rows, asked = np.ascontiguousarray(vectors), np.ascontiguousarray(queries)
    return _in_order(*faiss.knn(asked, rows, min(k, len(rows)), faiss.METRIC_INNER_PRODUCT))


def _in_order(
    scores: Float32[np.ndarray, "query hit"], ids: Int64[np.ndarray, "query hit"]
) -> tuple[Float32[np.ndarray, "query hit"], Int64[np.ndarray, "query hit"]]:
    order = np.lexsort((ids, -scores))
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)
