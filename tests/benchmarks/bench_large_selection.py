"""How long selection takes in pools whose dense similarity would not fit, and what it loses.

Run `python -m tests.benchmarks --large`: some minutes, and 10 GiB for the largest pool. Candidates
are synthetic, since nobody has a million: points about centres about centres, in directions of
falling variance and off the origin, as texts' vectors are. Coverage alone is maximised.

`share_of_exact` is the exact objective of what sparse selection picks, over that of what exact
selection picks. It is taken where both are affordable: on a pool of the same kind with 16,384
candidates, at the same rate of picks and with as many neighbours, which are searched for in cells,
as in the large pool, and not exactly, as a pool of that size has them otherwise. `recall_there` is
what this search finds in the small pool, `recall` what it finds in the large one.
"""

import resource
import sys
import time
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from jaxtyping import Float32
from scipy.sparse import csr_array

from curette.tasks.methods.selection import neighbours
from curette.tasks.methods.selection.facility_location import (
    SelectionProblem,
    select_greedily,
    tighten_upper_bound,
)
from curette.tasks.methods.selection.neighbours import cosines, nearest_cosines, neighbours_counted
from tests.benchmarks.measuring import Target, all_met, print_rows

DIM = 512
AFFORDABLE = 16_384
PEAK_GIB, SHARE, CERTIFICATE = Target("<=", 20), Target(">=", 0.98), Target(">=", 0.9)
_QUERIES, _BLOCK = 300, 50_000


class Row(NamedTuple):
    """One pool; targets are for two cores."""

    candidates: int
    picks: int
    neighbours: int
    neighbours_s: float
    greedy_s: float  # with the problem's preparation
    tightening_s: float
    seconds: float
    peak_gib: float  # of the process, vectors included
    recall: float  # of 300 candidates' neighbours
    share_of_exact: float
    recall_there: float  # where the share was taken
    certificate: float
    target: str
    met: bool | None


class _Share(NamedTuple):
    of_exact: float
    recall: float


def main() -> list[Row]:
    """Return a row a pool, the small one first, as memory is the process's highest."""
    return [
        measure(100_000, 1_000, Target("<=", 60)),
        measure(1_000_000, 1_000, Target("<=", 600)),
    ]


def measure(candidates: int, picks: int, most_s: Target) -> Row:
    """Select from one pool, and compare on a smaller one."""
    count = neighbours_counted(candidates, picks)
    if count is None:
        raise ValueError(f"{candidates} candidates are not a large pool.")
    share = share_of_exact(AFFORDABLE, picks * AFFORDABLE // candidates, count)
    vectors = text_like(candidates)
    start = time.perf_counter()
    similarity = nearest_cosines(vectors, count)
    found_at = time.perf_counter()
    problem = SelectionProblem.of_size(similarity, np.zeros(candidates), picks, 1.0)
    selection = select_greedily(problem)
    selected_at = time.perf_counter()
    selection = tighten_upper_bound(problem, selection)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_gib = peak / 2 ** (30 if sys.platform == "darwin" else 20)
    return Row(
        candidates=candidates,
        picks=picks,
        neighbours=count,
        neighbours_s=found_at - start,
        greedy_s=selected_at - found_at,
        tightening_s=end - selected_at,
        seconds=end - start,
        peak_gib=peak_gib,
        recall=recall(vectors, similarity, count),
        share_of_exact=share.of_exact,
        recall_there=share.recall,
        certificate=selection.certificate,
        target=f"{most_s} s, {PEAK_GIB} GiB, share {SHARE}, certificate {CERTIFICATE}",
        met=all_met(
            most_s.is_met_by(end - start),
            PEAK_GIB.is_met_by(peak_gib),
            SHARE.is_met_by(share.of_exact),
            CERTIFICATE.is_met_by(selection.certificate),
        ),
    )


def recall(
    vectors: Float32[np.ndarray, "candidate dim"], similarity: csr_array, count: int
) -> float:
    """Return the share of their nearest that some candidates found; as near is as good."""
    queries = np.random.default_rng(1).choice(len(vectors), _QUERIES, replace=False)
    found = similarity[queries]
    farthest = np.sort(vectors[queries] @ vectors.T, axis=1)[:, -count]
    near = found.data >= np.repeat(farthest, np.diff(found.indptr)) - 1e-6
    return float(near.sum()) / (_QUERIES * count)


def share_of_exact(candidates: int, picks: int, count: int) -> _Share:
    """Return F(picks of the neighbours) / F(picks of all similarities), F the exact one."""
    vectors = text_like(candidates)
    exact = SelectionProblem.of_size(cosines(vectors), np.zeros(candidates), picks, 1.0)
    with patch.object(neighbours, "EXACT_SEARCH", 0):
        nearest = nearest_cosines(vectors, count)
    few = SelectionProblem.of_size(nearest, np.zeros(candidates), picks, 1.0)
    share = exact.value(select_greedily(few).indices) / select_greedily(exact).value
    return _Share(share, recall(vectors, nearest, count))


def text_like(count: int) -> Float32[np.ndarray, "candidate dim"]:
    """Return unit vectors: 50 about each of count/50 centres, 20 of those about each of others."""
    rng = np.random.default_rng(0)

    def normal(rows: int) -> Float32[np.ndarray, "row dim"]:
        return rng.standard_normal((rows, DIM), dtype=np.float32)

    basis = normal(DIM) / np.sqrt(np.arange(1, DIM + 1, dtype=np.float32))[:, None]
    centres = np.repeat(normal(1 + count // 1000), 20, axis=0)
    centres += 0.7 * normal(len(centres))
    offset = normal(1)
    offset *= 0.5 * np.linalg.norm(centres @ basis, axis=1).mean() / np.linalg.norm(offset)
    vectors = np.empty((count, DIM), dtype=np.float32)
    for start in range(0, count, _BLOCK):
        block = vectors[start : start + _BLOCK]
        block[:] = centres[rng.integers(len(centres), size=len(block))] + 0.7 * normal(len(block))
        block[:] = block @ basis + offset
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


if __name__ == "__main__":
    print_rows("large selection", main())
