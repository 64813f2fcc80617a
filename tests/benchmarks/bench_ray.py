"""Whether a Ray cluster on one machine embeds the same images as fast, and gives the same vectors.

Run `python -m tests.benchmarks.bench_ray`; it takes a minute and needs the extra `ray`. The cluster
is started and ended by the run, with an actor a core: on the same cores it can at best be as fast.
A ViT-B/32 with random weights in float32, `bench_embedding`'s images, shards of 32 so that a few
hundred images are many. Rates count from the first vectors of each actor, when all have their
encoder; what came before is in the seconds.
"""

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.storage.images import ImageFiles, ImageShelf
from curette.storage.vectors import VectorShelf
from curette.tasks.embed.embedding import embed_images
from curette.tasks.embed.on_ray import embed_images_on_ray
from curette.tasks.methods.encoder.encoder import load_encoder
from curette.tasks.methods.encoder.reading import Read
from curette.tasks.methods.threads import usual_threads
from tests.benchmarks.bench_embedding import dataset_of, find_images, save_model
from tests.benchmarks.measuring import Target, print_rows, timed

IMAGES, SHARD = 256, 32
LOCAL, RAY = Machine(device="cpu"), Machine(device="cpu", engine="ray")
Done = Callable[[int], None]
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
        encoder = load_encoder(spec, LOCAL)

        def embed_here(read: Read, shelf: VectorShelf, done: Done) -> ImageEmbeddings:
            return embed_images(dataset, read, encoder, shelf, LOCAL, done)

        def embed_there(read: Read, shelf: VectorShelf, done: Done) -> ImageEmbeddings:
            return embed_images_on_ray(dataset, read, spec, shelf, RAY, done)

        local = _run(embed_here, dataset, folder / "here")
        with patch("curette.tasks.embed.on_ray.SHARD", SHARD):
            ray = _run(embed_there, dataset, folder / "there")
    ratio = ray.per_s / local.per_s
    difference = float(np.abs(ray.made.vectors - local.made.vectors).max())
    return [
        Row(
            f"images/s with {usual_threads()} actors, of {len(dataset)} images",
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
            np.nan,
            np.nan,
            str(SAME),
            SAME.is_met_by(difference),
        ),
    ]


def _run(
    embed: Callable[[Read, VectorShelf, Done], ImageEmbeddings], dataset: ImageDataset, folder: Path
) -> _Run:
    """Embed into a store that is new; the rate counts from every actor's first vectors on."""
    folder.mkdir()
    read = ImageFiles(Path(dataset.root).resolve(), ImageShelf(folder)).read
    told = list[tuple[float, int]]()

    def done(count: int) -> None:
        if count:
            told.append((time.perf_counter(), count))

    seconds, made = timed(lambda: embed(read, VectorShelf(folder), done))
    warm = usual_threads()
    after = sum(count for _, count in told[warm:])
    return _Run(made, seconds, after / (told[-1][0] - told[warm - 1][0]))


if __name__ == "__main__":
    print_rows("ray", main())
