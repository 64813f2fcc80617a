"""Whether a Ray cluster on one machine embeds the same images as fast, and gives the same vectors.

Run `python -m tests.benchmarks.bench_ray`; it takes a minute and needs the extra `ray`. The cluster
is started and ended by the run, with an actor a core: on the same cores it can at best be as fast.
A ViT-B/32 with random weights in float32, `bench_embedding`'s images, shards of 32 so that a few
hundred images are many. Rates count from the first image that is read, when an actor has loaded its
encoder; what came before is in the seconds.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class WatchedFiles:
    """Images, in whatever process they are read; the first read is noted."""

    files: ImageFiles
    began: Path

    def read(self, location: str, sha256: str) -> bytes:
        """Read an image."""
        if not self.began.exists():
            self.began.touch()
        return self.files.read(location, sha256)


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
    """Embed into a store that is new; the rate counts from the first read to the last vector."""
    folder.mkdir()
    images = ImageFiles(Path(dataset.root).resolve(), ImageShelf(folder))
    watched, told = WatchedFiles(images, folder / "began"), list[float]()
    seconds, made = timed(
        lambda: embed(watched.read, VectorShelf(folder), lambda count: told.append(time.time()))
    )
    return _Run(made, seconds, len(dataset) / (told[-1] - watched.began.stat().st_mtime))


if __name__ == "__main__":
    print_rows("ray", main())
