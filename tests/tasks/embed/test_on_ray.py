"""On a Ray cluster every image gets the vector that it gets here, though workers die."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Bool, Float32

from schemas.artifact import StudyError
from schemas.embeddings import OpenClipEncoder
from schemas.images import ImageDataset
from schemas.machine import Machine
from storage.images import ImageShelf, image_reader
from storage.vectors import VectorShelf
from tasks.embed.embedding import embed_images
from tasks.embed.encoder import load_encoder
from tasks.embed.on_ray import embed_images_on_ray
from tests.tasks.embed.studies import dataset_of

pytest.importorskip("ray", reason="the extra `ray` is not installed")
SHARD = 10


def ray_machine(**settings: Any) -> Machine:
    return Machine(device="cpu", engine="ray", batch_size=5, workers=1, threads=1, **settings)


@dataclass(frozen=True)
class SlowReader:
    """Reads images in an actor, slowly, and writes down which process read how many."""

    folder: Path
    readers: Path

    def __call__(self, location: str) -> bytes:
        with (self.readers / str(os.getpid())).open("a") as lines:
            lines.write(f"{location}\n")
        time.sleep(0.05)
        return (self.folder / location).read_bytes()


class KillingShelf:
    """A shelf that kills one of the two processes that read images as soon as both do."""

    def __init__(self, shelf: VectorShelf, readers: Path) -> None:
        self.shelf, self.readers, self.killed, self.added = shelf, readers, 0, list[int]()

    def get(
        self, encoder_digest: str, keys: Sequence[str], dim: int
    ) -> tuple[Bool[np.ndarray, " key"], Float32[np.ndarray, "key dim"]]:
        return self.shelf.get(encoder_digest, keys, dim)

    def put(
        self, encoder_digest: str, keys: Sequence[str], vectors: Float32[np.ndarray, "key dim"]
    ) -> None:
        self.shelf.put(encoder_digest, keys, vectors)
        self.added.append(len(keys))
        readers = sorted(self.readers.iterdir(), key=lambda path: path.stat().st_mtime)
        if not self.killed and len(readers) == 2:
            self.killed = int(readers[-1].name)  # the one that is at work on a shard
            os.kill(self.killed, signal.SIGKILL)


@pytest.fixture
def dataset(pngs: list[bytes], tmp_path: Path) -> ImageDataset:
    return dataset_of({f"image{i:02d}": png for i, png in enumerate(pngs)}, tmp_path / "images")


def test_a_worker_that_is_killed_is_replaced_and_every_vector_is_as_here(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("on_ray", "embedding"):
        monkeypatch.setattr(f"tasks.embed.{module}.SHARD", SHARD)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # two actors
    spec = OpenClipEncoder(model=save_clip())
    readers = tmp_path / "readers"
    readers.mkdir()
    here, there = VectorShelf(tmp_path / "here"), VectorShelf(tmp_path / "there")

    # Some vectors are known already, so that shards do not start at the first row.
    known = dataset_of({"x": (tmp_path / "images" / "image03.png").read_bytes()}, tmp_path / "x")
    encoder = load_encoder(spec, Machine(device="cpu"))
    machine = Machine(device="cpu", batch_size=5)
    for shelf in (here, there):
        read = image_reader(known, ImageShelf(tmp_path))
        embed_images(known, read, encoder, shelf, machine, lambda count: None)

    killing = KillingShelf(there, readers)
    told: list[int] = []
    reader = SlowReader(tmp_path / "images", readers)
    made = embed_images_on_ray(dataset, reader, spec, killing, ray_machine(), told.append)

    pids = [int(path.name) for path in readers.iterdir()]
    assert killing.killed in pids
    assert len(pids) == 3, "two workers, and one that took the place of the killed"
    read_twice = sum(len(p.read_text().splitlines()) for p in readers.iterdir()) - 79
    assert 0 < read_twice <= SHARD, "only the shard that the killed worker had was made again"
    assert sorted(killing.added) == [9] + [SHARD] * 7
    assert sum(told) == 80

    read = image_reader(dataset, ImageShelf(tmp_path))
    local = embed_images(dataset, read, encoder, here, machine, lambda count: None)
    assert made.keys == local.keys
    assert made.encoder == local.encoder
    assert np.array_equal(made.vectors, local.vectors)
    assert names(there) == names(here), "the same files"


def names(shelf: VectorShelf) -> list[str]:
    return sorted(path.name for path in shelf.root.rglob("*.npy"))


def test_nothing_is_started_where_every_vector_is_known(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path
) -> None:
    spec, shelf = OpenClipEncoder(model=save_clip()), VectorShelf(tmp_path / "store")
    read = image_reader(dataset, ImageShelf(tmp_path))
    encoder = load_encoder(spec, Machine(device="cpu"))
    local = embed_images(dataset, read, encoder, shelf, Machine(), lambda count: None)
    machine = ray_machine(ray_address="127.0.0.1:1")
    again = embed_images_on_ray(dataset, read, spec, shelf, machine, lambda count: None)
    assert np.array_equal(again.vectors, local.vectors)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense://nowhere"])
def test_a_cluster_that_cannot_be_reached_is_named(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path, address: str
) -> None:
    spec, shelf = OpenClipEncoder(model=save_clip()), VectorShelf(tmp_path / "store")
    read = image_reader(dataset, ImageShelf(tmp_path))
    machine = ray_machine(ray_address=address)
    with pytest.raises(StudyError, match=rf"{address} cannot be reached: .*ray_address"):
        embed_images_on_ray(dataset, read, spec, shelf, machine, lambda count: None)
