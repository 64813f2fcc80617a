"""On a Ray cluster every image gets the vector that it gets here, though workers die."""

import os
import signal
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Bool, Float32, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.storage.images import ImageFiles, ImageShelf
from curette.storage.vectors import VectorShelf
from curette.tasks.embed.embedding import embed_images
from curette.tasks.embed.on_ray import (
    _parcels,
    _size_pool,
    embed_images_on_ray,
)
from curette.tasks.methods.cluster import Node
from curette.tasks.methods.encoder.encoder import load_encoder, load_to_send, receive
from curette.tasks.methods.encoder.reading import Picture
from tests.builders.embedding import dataset_of

SHARD = 10
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")


def ray_machine(**settings: Any) -> Machine:
    return Machine(device="cpu", engine="ray", batch_size=5, workers=1, threads=1, **settings)


def actors() -> set[int]:
    """Return the processes that encode for this one, as Ray names them."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            named = (process / "cmdline").read_bytes().startswith(b"ray::_ImageEncoder")
            raylet = parent(process)
            if named and parent(Path("/proc") / raylet) == str(os.getpid()):
                found.add(int(process.name))
    return found


def parent(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[1]


class KillingShelf:
    """A shelf that kills one of two actors when the first shard comes; both have more to do."""

    def __init__(self, shelf: VectorShelf) -> None:
        self.shelf, self.killed, self.seen, self.added = shelf, 0, set[int](), list[int]()

    def get(
        self, encoder_digest: str, keys: Shaped[np.ndarray, " key"], dim: int
    ) -> tuple[Bool[np.ndarray, " key"], Float32[np.ndarray, "key dim"]]:
        return self.shelf.get(encoder_digest, keys, dim)

    def put(
        self,
        encoder_digest: str,
        keys: Shaped[np.ndarray, " key"],
        vectors: Float32[np.ndarray, "key dim"],
    ) -> None:
        self.shelf.put(encoder_digest, keys, vectors)
        self.added.append(len(keys))
        self.seen |= actors()
        if not self.killed:
            self.killed = max(self.seen)
            os.kill(self.killed, signal.SIGKILL)


@pytest.fixture
def dataset(pngs: list[bytes], tmp_path: Path) -> ImageDataset:
    return dataset_of({f"image{i:02d}": png for i, png in enumerate(pngs)}, tmp_path / "images")


@needs_ray
@pytest.mark.timeout(900)  # a cluster is started, and a busy machine takes long for it
def test_a_worker_that_is_killed_is_replaced_and_every_vector_is_as_here(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("embed.on_ray", "methods.encoder.recall"):
        monkeypatch.setattr(f"curette.tasks.{module}.SHARD", SHARD)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # two actors
    spec = OpenClipEncoder(model=save_clip())
    here, there = VectorShelf(tmp_path / "here"), VectorShelf(tmp_path / "there")

    # Some vectors are known already, so that shards do not start at the first row.
    known = dataset_of({"x": (tmp_path / "images" / "image03.png").read_bytes()}, tmp_path / "x")
    machine = Machine(device="cpu", batch_size=5, threads=1)  # as an actor's: sums are the same
    encoder = load_encoder(spec, machine)
    for shelf in (here, there):
        read = ImageFiles(tmp_path / "x", ImageShelf(tmp_path)).read
        embed_images(known, read, encoder, shelf, machine, lambda count: None)

    killing = KillingShelf(there)
    told, was_read = list[int](), list[str]()

    def read_once(location: str, sha256: str) -> bytes:
        was_read.append(location)
        return files(tmp_path).read(location, sha256)

    made = embed_images_on_ray(dataset, read_once, spec, killing, ray_machine(), told.append)

    assert killing.killed
    assert len(killing.seen) == 3, "two actors, and one that took the place of the killed"
    assert len(was_read) == 79, "no image is read twice: what was sent is sent again"
    assert sorted(killing.added) == [9] + [SHARD] * 7
    assert sum(told) == 80

    local = embed_images(dataset, files(tmp_path).read, encoder, here, machine, lambda count: None)
    assert made.keys == local.keys
    assert made.encoder == local.encoder
    assert np.array_equal(made.vectors, local.vectors)
    assert names(there) == names(here), "the same files"


def files(folder: Path) -> ImageFiles:
    return ImageFiles((folder / "images").resolve(), ImageShelf(folder))


def names(shelf: VectorShelf) -> list[str]:
    return sorted(path.name for path in shelf.root.rglob("*.npy"))


def test_nothing_is_started_where_every_vector_is_known(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path
) -> None:
    spec, shelf = OpenClipEncoder(model=save_clip()), VectorShelf(tmp_path / "store")
    encoder = load_encoder(spec, Machine(device="cpu"))
    read = files(tmp_path).read
    local = embed_images(dataset, read, encoder, shelf, Machine(), lambda count: None)
    machine = ray_machine(ray_address="127.0.0.1:1")
    again = embed_images_on_ray(dataset, read, spec, shelf, machine, lambda count: None)
    assert np.array_equal(again.vectors, local.vectors)


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense://nowhere"])
def test_a_cluster_that_cannot_be_reached_is_named(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path, address: str
) -> None:
    spec, shelf = OpenClipEncoder(model=save_clip()), VectorShelf(tmp_path / "store")
    machine = ray_machine(ray_address=address)
    with pytest.raises(StudyError, match=rf"{address} cannot be reached: .*ray_address"):
        embed_images_on_ray(dataset, files(tmp_path).read, spec, shelf, machine, lambda _: None)


# --- how many actors, and of what size ----------------------------------------------------------


ON_CPUS, ON_GPUS = Machine(device="cpu", engine="ray"), Machine(device="cuda", engine="ray")


@pytest.mark.parametrize(
    ("nodes", "machine", "shards", "actors", "cpus_each"),
    [
        ([Node(2, 0)], ON_CPUS, 5, 2, 1),
        ([Node(0, 0), Node(1, 0)], ON_CPUS, 5, 1, 1),  # a head that only leads
        ([Node(8, 0)] * 4, ON_CPUS, 1, 1, 8),  # and not 31: no node has as many
        ([Node(8, 0)] * 4, ON_CPUS, 4, 4, 8),
        ([Node(8, 0)] * 4, ON_CPUS, 6, 6, 4),
        ([Node(8, 0)] * 4, ON_CPUS, 100, 32, 1),
        ([Node(32, 0), Node(4, 1)], ON_GPUS, 100, 1, 4),  # the GPU's node has 4
        ([Node(32, 0), Node(4, 1)], ON_CPUS, 100, 36, 1),
        ([Node(16, 4), Node(4, 2)], ON_GPUS, 100, 6, 2),
        ([Node(4, 0), Node(1, 4)], ON_GPUS, 100, 1, 1),  # GPUs without CPUs serve nobody
    ],
)
def test_actors_fit_on_the_nodes(
    nodes: list[Node], machine: Machine, shards: int, actors: int, cpus_each: float
) -> None:
    pool = _size_pool(nodes, machine, shards)
    assert (pool.actors, pool.cpus_each) == (actors, cpus_each)
    assert pool.gpus_each == (machine.device == "cuda")
    own = pool.machine
    assert (own.threads, own.workers) == (max(1, int(cpus_each)),) * 2
    assert (own.device, own.engine) == (machine.device, "local")


def test_an_actors_threads_can_be_named() -> None:
    machine = ON_CPUS.model_copy(update={"threads": 3, "workers": 2})
    own = _size_pool([Node(8, 0)], machine, 100).machine
    assert (own.threads, own.workers) == (3, 2)


def test_auto_takes_the_clusters_gpus_and_cuda_needs_some() -> None:
    machine = Machine(engine="ray")
    assert _size_pool([Node(4, 1)], machine, 9).machine.device == "cuda"
    assert _size_pool([Node(4, 0)], machine, 9).machine.device == "cpu"
    with pytest.raises(StudyError, match="the Ray cluster has no GPU"):
        _size_pool([Node(4, 0)], ON_GPUS, 9)


# --- what is sent -------------------------------------------------------------------------------


def test_parcels_are_whole_batches_of_few_bytes_and_are_read_as_they_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curette.tasks.embed.on_ray._PARCEL_BYTES", 100)
    was_read = list[str]()

    def read(location: str, sha256: str) -> bytes:
        was_read.append(location)
        return b"x" * (60 if location < "08" else 10)

    pictures = (Picture(f"{i:02d}", f"{i:02d}", f"{i:02d}") for i in range(35))
    sizes, ahead = list[int](), list[int]()
    for parcel in _parcels(pictures, read, 4, 16, 1):
        sizes.append(len(parcel))
        ahead.append(len(was_read) - sum(sizes))
    assert sizes == [4, 4, 8, 12, 4, 3]  # by bytes; at the shard's end; by bytes; at its end; rest
    assert ahead == [0] * 6
    assert was_read == [f"{i:02d}" for i in range(35)]


@needs_ray
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_encoder_that_was_sent_is_the_one_that_was_loaded(
    save_clip: Any, pngs: list[bytes], precision: Any
) -> None:
    from ray import cloudpickle

    spec = OpenClipEncoder(model=save_clip(), precision=precision)
    sent = load_to_send(spec, Machine(device="cpu"))
    received = receive(cloudpickle.loads(cloudpickle.dumps(sent)), Machine(device="cpu"))
    assert received.identity == sent.identity
    batch = sent.stack([sent.prepare_image(png) for png in pngs[:4]])
    again = received.stack([received.prepare_image(png) for png in pngs[:4]])
    assert np.array_equal(received.encode_images(again), sent.encode_images(batch))
