"""How long it takes to choose concepts together, with the certificate, up to a million candidates.

Run `python -m tests.benchmarks.bench_joint_selection`: minutes, and 15 GiB for the largest pool; a
number of candidates as an argument measures that pool alone. 8,000 images of 512 dimensions in 7
classes are drawn, their class in 20 of the dimensions; candidates are those of the large benchmark
of coverage. The second row of a pool avoids a column of two values that goes with the class.
"""

import resource
import sys
import time
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from curette.tasks.methods.selection.explained_variance import (
    EachClass,
    class_variance,
    rank_greedily,
)
from curette.tasks.methods.selection.relaxation import upper_bound
from tests.benchmarks.bench_large_selection import DIM, text_like
from tests.benchmarks.measuring import Target, all_met, print_rows

IMAGES, CLASSES, PICKS = 8_000, 7, 100
POOLS = {
    3_000: (Target("<=", 1), Target("<=", 8)),
    100_000: (Target("<=", 60), Target("<=", 8)),
    1_000_000: (Target("<=", 600), Target("<=", 20)),
}


class Row(NamedTuple):
    """One pool; targets are for two cores."""

    candidates: int
    avoided: int  # columns
    picks: int
    stating_s: float
    greedy_s: float
    certificate_s: float
    seconds: float
    peak_gib: float  # of the process until then, vectors included
    certificate: float
    target: str
    met: bool | None


def main(candidates: int | None = None) -> list[Row]:
    """Return two rows a pool, the small one first, as memory is the process's highest."""
    return [
        measure(count, avoided)
        for count in ([candidates] if candidates else POOLS)
        for avoided in (False, True)
    ]


def measure(candidates: int, avoided: bool) -> Row:
    """State the problem, choose and certify."""
    seconds, gib = POOLS[candidates]
    texts, (images, labels, column) = text_like(candidates), drawn_images()
    links = np.zeros((candidates, CLASSES), dtype=bool)
    links[np.arange(candidates), np.arange(candidates) % CLASSES] = True
    columns = (column,) if avoided else ()
    start = time.perf_counter()
    problem = class_variance(texts, images, labels, CLASSES, links=links, avoided=columns)
    stated = time.perf_counter()
    picks = rank_greedily(problem, PICKS, EachClass(links, PICKS)).indices
    chosen = time.perf_counter()
    certificate = problem.value(picks) / upper_bound(problem, picks)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_gib = peak / 2 ** (30 if sys.platform == "darwin" else 20)
    return Row(
        candidates=candidates,
        avoided=len(columns),
        picks=len(picks),
        stating_s=stated - start,
        greedy_s=chosen - stated,
        certificate_s=end - chosen,
        seconds=end - start,
        peak_gib=peak_gib,
        certificate=certificate,
        target=f"{seconds} s, {gib} GiB",
        met=all_met(seconds.is_met_by(end - start), gib.is_met_by(peak_gib)),
    )


def drawn_images() -> tuple[
    Float32[np.ndarray, "image dim"], Int64[np.ndarray, " image"], Int64[np.ndarray, " image"]
]:
    """Return unit vectors, their classes, and a column that goes with the first of these."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=IMAGES)
    column = (rng.random(IMAGES) < np.where(labels == 0, 0.9, 0.1)).astype(np.int64)
    vectors = rng.standard_normal((IMAGES, DIM), dtype=np.float32)
    vectors[:, :20] += rng.standard_normal((CLASSES, 20), dtype=np.float32)[labels]
    vectors[:, 20] += 3 * column
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, labels, column


if __name__ == "__main__":
    print_rows("joint selection", main(*(int(argument) for argument in sys.argv[1:])))
