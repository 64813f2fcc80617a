"""Whether a Ray cluster on one machine embeds the same images as fast, and gives the same vectors.

Run `python -m tests.benchmarks.bench_ray`; it takes a minute and needs the extra `ray`. The cluster
is started and ended by the run, with an actor a core: on the same cores it can at best be as fast.
A ViT-B/32 with random weights in float32, `bench_embedding`'s images, shards of 32 so that a few
hundred images are many. The rate counts from where every actor has loaded the encoder and answered
once; what came before stands in a row of its own.
"""

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

from schemas.embeddings import ImageEmbeddings, OpenClipEncoder
from schemas.machine import Machine
from storage.images import ImageFiles, ImageShelf
from storage.vectors import VectorShelf
from tasks.embed.embedding import embed_images
from tasks.embed.encoder import load_encoder
from tasks.embed.on_ray import embed_images_on_ray
from tasks.threads import usual_threads
from tests.benchmarks.bench_embedding import dataset_of, find_images, save_model
from tests.benchmarks.measuring import Target, print_rows, timed

IMAGES, SHARD = 256, 32
LOCAL, RAY = Machine(device="cpu"), Machine(device="cpu", engine="ray")
OF_LOCAL, SAME = Target(">=", 0.9), Target("<=", 1e-5)


class Row(NamedTuple):
    """One comparison."""

    name: str
    ray: float
    local: float
    ratio: float  # ray / local
    target: str = ""
    met: bool | None = None


class _Run(NamedTuple):
    made: ImageEmbeddings
    seconds: float
    per_s: float


def main() -> list[Row]:
    """Return rate, start and difference; nothing where Ray is not installed."""
    if find_spec("ray") is None:
        print("the extra `ray` is not installed")
        return []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        spec = OpenClipEncoder(model=save_model(folder / "ViT-B-32"))
        dataset = dataset_of(find_images(folder / "images", IMAGES))
        read = ImageFiles(Path(dataset.root).resolve(), ImageShelf(folder)).read
        encoder, workers = load_encoder(spec, LOCAL), usual_threads()
        here, there = VectorShelf(folder / "here"), VectorShelf(folder / "there")
        local = _run(lambda done: embed_images(dataset, read, encoder, here, LOCAL, done), 1)
        with patch("tasks.embed.on_ray.SHARD", SHARD):
            ray = _run(
                lambda done: embed_images_on_ray(dataset, read, spec, there, RAY, done), workers
            )
    ratio = ray.per_s / local.per_s
    difference = float(np.abs(ray.made.vectors - local.made.vectors).max())
    return [
        Row(
            f"images/s with {workers} actors, of {len(dataset)} images",
            ray.per_s,
            local.per_s,
            ratio,
            str(OF_LOCAL),
            OF_LOCAL.is_met_by(ratio),
        ),
        Row("seconds in all, starting and ending the cluster", ray.seconds, local.seconds, np.nan),
        Row(
            "largest difference of two numbers of the vectors",
            difference,
            0,
            np.nan,
            str(SAME),
            SAME.is_met_by(difference),
        ),
    ]


def _run(embed: Callable[[Callable[[int], None]], ImageEmbeddings], workers: int) -> _Run:
    """Embed; the rate counts from the moment that as many batches are done as there are workers."""
    told: list[tuple[float, int]] = []

    def done(count: int) -> None:
        if count:
            told.append((time.perf_counter(), count))

    seconds, made = timed(lambda: embed(done))
    start, end = told[workers - 1][0], told[-1][0]
    return _Run(made, seconds, sum(count for _, count in told[workers:]) / (end - start))


if __name__ == "__main__":
    print_rows("ray", main())
