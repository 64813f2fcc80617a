"""How long indices take to build and to ask, and how much of the ten nearest they find.

Run `python -m tests.benchmarks.bench_index`; it takes more than a minute. The vectors are clustered
and share an offset, as CLIP's do. Queries come one by one, as a person's do. HNSW stands here as it
was weighed against the inverted file, see docs/decisions/011.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from curette.tasks.index.faiss_index import build_flat, build_ivf, extend, search
from curette.tasks.index.image_index import EXACT_NUMBERS, MIN_RECALL, list_count
from curette.tasks.index.recall import recall_at_10, spread_rows
from curette.tasks.methods.alike.pairs import find_pairs
from curette.tasks.methods.alike.stars import stars
from tests.benchmarks.measuring import print_rows, timed

Effort = Callable[[faiss.Index, int], None]

DIM, CLUSTERS, QUERIES = 512, 500, 100
CROSSOVER = EXACT_NUMBERS // DIM


class Row(NamedTuple):
    """One index at one size, or one search for duplicates."""

    name: str
    seconds: float
    ms_query: float
    faster: float  # times, a query than exact search, or vectors added than building anew
    recall_at_10: float
    target: str
    met: bool


def main() -> list[Row]:
    """Return one row for each index and size, and one for the duplicates."""
    rows = [find_duplicates(10_000)]
    for count in (10_000, 60_000, CROSSOVER):
        rows += compare_indices(count)
    return [*rows, *grow(CROSSOVER)]


def clustered(count: int) -> Float32[np.ndarray, "row dim"]:
    """Unit vectors: a common offset, a cluster's own place, and noise; variance falls with rank."""
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, DIM + 1, dtype=np.float32) ** -0.5
    offset = rng.standard_normal(DIM, dtype=np.float32) / 8
    centers = rng.standard_normal((CLUSTERS, DIM), dtype=np.float32) * spectrum
    vectors = rng.standard_normal((count, DIM), dtype=np.float32)
    vectors *= 0.7 * spectrum
    vectors += offset
    vectors += centers[rng.integers(CLUSTERS, size=count)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def compare_indices(count: int) -> list[Row]:
    """Build each kind of index at one size."""
    vectors = clustered(count)
    asking = spread_rows(count, QUERIES)
    at_size = f"{count:,} x {DIM}"
    flat_s, flat = timed(lambda: build_flat(vectors))
    flat_ms = _ms_query(flat, vectors[asking])
    lists = list_count(count)
    ivf = partial(build_ivf, vectors, lists)
    others: list[tuple[str, Callable[[], faiss.Index], Effort]] = [("ivf", ivf, _set_probes)]
    if count < CROSSOVER:  # minutes beyond
        others.append(("hnsw", partial(_build_hnsw, vectors), _set_ef))
    rows = [Row(f"flat, {at_size}", flat_s, flat_ms, 1, 1, "at most 50 ms", flat_ms <= 50)]
    for kind, build, set_effort in others:
        seconds, index = timed(build)
        effort, recall = _effort_needed(index, vectors, asking, set_effort)
        ms = _ms_query(index, vectors[asking])
        rows.append(
            Row(
                name=f"{kind} with effort {effort}, {at_size}",
                seconds=seconds,
                ms_query=ms,
                faster=flat_ms / ms,
                recall_at_10=recall,
                target=f"recall {MIN_RECALL}, 5 times faster",
                met=recall >= MIN_RECALL and flat_ms / ms >= 5,
            )
        )
    return rows


def grow(count: int) -> list[Row]:
    """Add 1 % new vectors to an inverted file that finds enough, and build one of all beside it."""
    vectors, known = clustered(count), count - count // 100
    asking = spread_rows(known, QUERIES)
    index = build_ivf(vectors[:known], list_count(known))
    probes, before = _effort_needed(index, vectors[:known], asking, _set_probes)
    _, same = search(index, vectors[asking], 1)
    seconds, _ = timed(lambda: extend(index, vectors[known:]))
    built_s, built = timed(lambda: build_ivf(vectors, list_count(count)))
    _set_probes(built, probes)
    new = known + spread_rows(count - known, QUERIES)
    rows = []
    for name, asked in (("known", asking), ("new", new)):
        _, found = search(index, vectors[asked], 1)
        recall = recall_at_10(index, vectors, asked)
        rebuilt = recall_at_10(built, vectors, asked)
        ids = bool((found[:, 0] == asked).all())
        if name == "known":
            ids = ids and bool((found == same).all())
        rows.append(
            Row(
                name=f"ivf with effort {probes}, {known:,} grown by {count - known:,}; {name} "
                f"vectors ask: recall {before:.3f} before, {rebuilt:.3f} built anew in "
                f"{built_s:.1f} s",
                seconds=seconds,
                ms_query=_ms_query(index, vectors[asked]),
                faster=built_s / seconds,
                recall_at_10=recall,
                target=f"ids kept, recall {MIN_RECALL}",
                met=ids and recall >= MIN_RECALL,
            )
        )
    return rows


def _effort_needed(
    index: faiss.Index,
    vectors: Float32[np.ndarray, "row dim"],
    asking: Int64[np.ndarray, " query"],
    set_effort: Effort,
) -> tuple[int, float]:
    """Return the first power of two at which the index finds enough, and what it finds then."""
    recall = 0.0
    for effort in (4, 8, 16, 32, 64, 128, 256):
        set_effort(index, effort)
        recall = recall_at_10(index, vectors, asking)
        if recall >= MIN_RECALL:
            break
    return effort, recall


def _set_probes(index: faiss.Index, probes: int) -> None:
    faiss.extract_index_ivf(index).nprobe = probes


def _set_ef(index: faiss.Index, ef: int) -> None:
    faiss.downcast_index(index).hnsw.efSearch = ef  # type: ignore[attr-defined]


def find_duplicates(count: int) -> Row:
    """Search a tenth of look-alikes among train, validation and test for all of them."""
    vectors = clustered(count)
    rng = np.random.default_rng(1)
    twins: Int64[np.ndarray, "pair two"] = rng.permutation(count)[: count // 10 * 2].reshape(-1, 2)
    vectors[twins[:, 1]] = vectors[twins[:, 0]]
    part = rng.choice(3, size=count, p=[0.6, 0.2, 0.2])
    apart = twins[part[twins[:, 0]] != part[twins[:, 1]]]
    seconds, found = timed(lambda: stars(find_pairs(vectors, part, 0.995)))
    told = {frozenset((star.center, int(row))) for star in found for row in star.rows}
    share = len(told & {frozenset(pair) for pair in apart.tolist()}) / len(apart)
    return Row(
        name=f"duplicates among {count:,} x {DIM}",
        seconds=seconds,
        ms_query=np.nan,
        faster=np.nan,
        recall_at_10=share,
        target="every planted copy, at most 5 s",
        met=share == 1 and seconds <= 5,
    )


def _build_hnsw(vectors: Float32[np.ndarray, "row dim"]) -> faiss.IndexHNSWFlat:
    index = faiss.IndexHNSWFlat(DIM, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(vectors)
    return index


def _ms_query(index: faiss.Index, queries: Float32[np.ndarray, "query dim"]) -> float:
    """Return the median time of one query."""
    times = [timed(partial(search, index, query[None], 10))[0] for query in queries]
    return 1000 * float(np.median(times))


if __name__ == "__main__":
    print_rows("index", main())
