"""Which index a number of images gets, how well it finds them, and how it is opened again."""

from typing import NamedTuple

import faiss
import numpy as np
from jaxtyping import Float32, UInt8

from curette.schemas.artifact import CuretteError
from curette.schemas.index import ConceptIndex, IndexKind, VectorIndexFacts, vectors_sha256
from curette.tasks.index.faiss_index import build_flat, build_ivf, open_serialised, serialise
from curette.tasks.index.recall import recall_at_10, spread_rows

EXACT_NUMBERS = 2**27
"""Numbers (vectors x dim) up to which a search looks at all: 262,144 vectors of 512, 0.5 GB."""
MIN_RECALL = 0.98
_SAMPLE = 200
_FIRST_PROBES = 8
_MOST_OF_LISTS = 1 / 8
"""Share of the lists beyond which an inverted file saves too little to be worth its misses."""


class OtherVectors(CuretteError):
    """An index is not of the vectors that it would be asked about."""


class BuiltIndex(NamedTuple):
    """An index in FAISS's bytes, and what is known of it."""

    content: UInt8[np.ndarray, " byte"]
    facts: VectorIndexFacts


def index_kind(count: int, dim: int) -> IndexKind:
    """Return the rule's answer; docs/decisions/011 has the measurements behind it."""
    return "flat" if count * dim <= EXACT_NUMBERS else "ivf"


def list_count(count: int) -> int:
    """Return the number of lists: the power of two nearest to 2 sqrt(count)."""
    return 2 ** round(float(np.log2(2 * np.sqrt(count))))


def build_image_index(vectors: Float32[np.ndarray, "image dim"]) -> BuiltIndex:
    """Index images as the rule says; fall back to exact search where recall stays too low.

    An inverted file looks at more lists until it finds at least `MIN_RECALL` of the 10 nearest
    images of a sample of its own images.
    """
    if index_kind(*vectors.shape) == "flat":
        return _flat(vectors, fallback="")
    lists, rows = list_count(len(vectors)), spread_rows(len(vectors), _SAMPLE)
    index = build_ivf(vectors, lists)
    recall, probes = 0.0, _FIRST_PROBES
    while probes <= max(_FIRST_PROBES, lists * _MOST_OF_LISTS):
        index.nprobe = probes
        recall = recall_at_10(index, vectors, rows)
        if recall >= MIN_RECALL:
            facts = _facts(vectors, "ivf", lists=lists, probes=probes)
            measured = {"recall_at_10": round(recall, 4), "sampled": len(rows)}
            return BuiltIndex(serialise(index), facts.model_copy(update=measured))
        probes *= 2
    return _flat(
        vectors,
        fallback=f"{index.nprobe} of {lists:,} lists hold {recall:.1%} of the 10 nearest images, "
        f"and the index promises {MIN_RECALL:.0%}",
    )


def open_image_index(index: ConceptIndex, vectors: Float32[np.ndarray, "image dim"]) -> faiss.Index:
    """Return the image index of an artifact that the store has checked, memory-mapped.

    Raises:
        OtherVectors: the index is of other vectors than these.
    """
    facts = index.facts
    if not facts.is_of(vectors):
        raise OtherVectors(
            f"the image index is of {facts.count:,} vectors of {facts.dim} dimensions with digest "
            f"{facts.vectors_sha256[:12]}; it was to be asked about {len(vectors):,} of "
            f"{vectors.shape[1]} with {vectors_sha256(vectors)[:12]}. The index and the vectors "
            "are of two runs: run the study again with --refresh index."
        )
    return open_serialised(index.images)


def _flat(vectors: Float32[np.ndarray, "image dim"], fallback: str) -> BuiltIndex:
    facts = _facts(vectors, "flat").model_copy(update={"fallback": fallback})
    return BuiltIndex(serialise(build_flat(vectors)), facts)


def _facts(
    vectors: Float32[np.ndarray, "image dim"], kind: IndexKind, lists: int = 0, probes: int = 0
) -> VectorIndexFacts:
    count, dim = vectors.shape
    return VectorIndexFacts(
        count=count,
        dim=dim,
        vectors_sha256=vectors_sha256(vectors),
        kind=kind,
        lists=lists,
        probes=probes,
    )
