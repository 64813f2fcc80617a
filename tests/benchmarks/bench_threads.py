"""What more threads gain where we compute, and whether torch and FAISS disturb each other.

Run `python -m tests.benchmarks.bench_threads`. Every work is done with one thread and with as many
as the `threads` module gives, in turn, and medians are compared. In the row "in turn" a batch is
encoded and then a search made, in one process: each library has an OpenMP pool of its own, whose
idle threads may keep the cores from the other's. Undisturbed it takes as long as both alone.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.tasks.index.faiss_index import build_flat, search
from curette.tasks.methods.encoder.encoder import load_encoder
from curette.tasks.methods.solvers.linear import global_standardisation, regularisation_path
from curette.tasks.methods.threads import share_cores, usual_threads
from tests.benchmarks.bench_embedding import save_model
from tests.benchmarks.bench_index import clustered
from tests.benchmarks.measuring import Target, print_rows, timed

BATCH, INDEXED, QUERIES, TURNS = 16, 65_536, 64, 3
NO_SLOWER, UNDISTURBED = Target(">=", 1), Target("<=", 1.1)


class Row(NamedTuple):
    """One work with one thread and with all."""

    name: str
    one_thread_s: float
    all_threads_s: float
    gain: float  # one_thread_s / all_threads_s
    beside_alone: float  # with all threads: in turn / the sum of both alone
    target: str = ""
    met: bool | None = None


def main() -> list[Row]:
    """Return a row for each work."""
    with tempfile.TemporaryDirectory() as folder:
        model = save_model(Path(folder) / "ViT-B-32")
        works = _works(model)
        seconds: dict[str, dict[int, list[float]]] = {name: {} for name in works}
        threads = (1, usual_threads())
        for turn in range(TURNS + 1):  # the first warms up
            for count in threads:
                share_cores(Machine(threads=count))
                for name, work in works.items():
                    took, _ = timed(work)
                    if turn:
                        seconds[name].setdefault(count, []).append(took)
        share_cores(Machine())
    one, many = ({name: median(s[count]) for name, s in seconds.items()} for count in threads)
    return [_row(name, one, many) for name in works]


PLAIN, ENCODE = (f"ViT-B/32, {kind}, a batch of {BATCH}" for kind in ("float32", "bfloat16"))
SEARCH = f"exact search, {QUERIES} queries of {INDEXED:,} x 512"
IN_TURN = f"a batch of {BATCH} in bfloat16 and {QUERIES} queries, in turn"
SMALL = "few shots: 20 paths of 40 x 512"


def _works(model: Path) -> dict[str, Callable[[], object]]:
    machine = Machine(device="cpu")
    plain = load_encoder(OpenClipEncoder(model=model), machine)
    rounded = load_encoder(OpenClipEncoder(model=model, precision="bfloat16"), machine)
    batch = torch.randn(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    vectors = clustered(INDEXED)
    index = build_flat(vectors)
    queries = vectors[:QUERIES]
    few = torch.from_numpy(vectors[:40].astype(np.float64))
    features = global_standardisation(few).apply(few)
    labels = torch.arange(40) % 2

    def in_turn() -> None:
        rounded.encode_images(batch)
        search(index, queries, 10)

    def few_shots() -> None:
        for _ in range(20):
            regularisation_path(features, labels, 2, [1.0, 0.1, 0.01])

    return {
        PLAIN: lambda: plain.encode_images(batch),
        ENCODE: lambda: rounded.encode_images(batch),
        SEARCH: lambda: search(index, queries, 10),
        IN_TURN: in_turn,
        SMALL: few_shots,
    }


def _row(name: str, one: dict[str, float], many: dict[str, float]) -> Row:
    gain = one[name] / many[name]
    if name == SMALL:  # which is why few shots keep to one thread of torch
        return Row(name, one[name], many[name], gain, np.nan)
    if name == IN_TURN:
        beside = many[name] / (many[ENCODE] + many[SEARCH])
        met = UNDISTURBED.is_met_by(beside)
        return Row(name, one[name], many[name], gain, beside, f"beside alone {UNDISTURBED}", met)
    met = NO_SLOWER.is_met_by(gain)
    return Row(name, one[name], many[name], gain, np.nan, f"gain {NO_SLOWER}", met)


if __name__ == "__main__":
    print_rows("threads", main())
