"""How long selection takes in pools whose dense similarity would not fit, and what it loses.

Run `python -m tests.benchmarks --large`: some minutes, and 10 GiB for the largest pool. Candidates
are synthetic, since nobody has a million: points about centres about centres, in directions of
falling variance and off the origin, as texts' vectors are. Coverage alone is maximised.

`share_of_exact` is the exact objective of what sparse selection picks, over that of what exact
selection picks. It is taken where both are affordable: on a pool of the same kind with 16,384
candidates, at the same rate of picks and with as many neighbours.
"""

import resource
import sys
import time
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from tasks.select.facility_location import SelectionProblem, select_greedily, tighten_upper_bound
from tasks.select.neighbours import cosines, nearest_cosines, neighbours_counted

DIM = 512
AFFORDABLE = 16_384
_QUERIES, _BLOCK = 300, 50_000


class Row(NamedTuple):
    """One pool; targets are for two cores."""

    candidates: int
    picks: int
    neighbours: int
    seconds_neighbours: float
    seconds_greedy: float  # with the problem's preparation
    seconds_tightening: float
    seconds: float
    target_seconds: float
    peak_gib: float  # of the process, vectors included
    target_gib: float
    recall: float  # of 300 candidates' neighbours
    share_of_exact: float
    target_share: float
    certificate: float
    target_certificate: float


def main() -> list[Row]:
    """Return a row a pool, the small one first, as memory is the process's highest."""
    return [measure(100_000, 1_000, seconds=60), measure(1_000_000, 1_000, seconds=600)]


def measure(candidates: int, picks: int, seconds: float) -> Row:
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
    queries = np.random.default_rng(1).choice(candidates, _QUERIES, replace=False)
    found = similarity[queries]
    exact = np.sort(vectors[queries] @ vectors.T, axis=1)[:, [-count]]
    return Row(
        candidates=candidates,
        picks=picks,
        neighbours=count,
        seconds_neighbours=found_at - start,
        seconds_greedy=selected_at - found_at,
        seconds_tightening=end - selected_at,
        seconds=end - start,
        target_seconds=seconds,
        peak_gib=peak / 2 ** (30 if sys.platform == "darwin" else 20),
        target_gib=20,
        recall=float((found.data >= np.repeat(exact, np.diff(found.indptr)) - 1e-6).sum())
        / (_QUERIES * count),
        share_of_exact=share,
        target_share=0.98,
        certificate=selection.certificate,
        target_certificate=0.9,
    )


def share_of_exact(candidates: int, picks: int, count: int) -> float:
    """Return F(picks of the neighbours) / F(picks of all similarities), F the exact one."""
    vectors = text_like(candidates)
    exact = SelectionProblem.of_size(cosines(vectors), np.zeros(candidates), picks, 1.0)
    few = SelectionProblem.of_size(
        nearest_cosines(vectors, count), np.zeros(candidates), picks, 1.0
    )
    return exact.value(select_greedily(few).indices) / select_greedily(exact).value


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
    for row in main():
        print(row)
