"""On a Ray cluster every image gets the vector that it gets here, though workers die."""

import os
import re
import signal
import time
from dataclasses import dataclass
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
from curette.tasks.embed.on_ray import _Node, _ShardEncoder, _size_pool, embed_images_on_ray
from curette.tasks.methods.encoder.encoder import load_encoder
from curette.tasks.methods.encoder.reading import Picture
from tests.builders.embedding import dataset_of

SHARD = 10
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")


def ray_machine(**settings: Any) -> Machine:
    return Machine(device="cpu", engine="ray", batch_size=5, workers=1, threads=1, **settings)


@dataclass(frozen=True)
class SlowReader:
    """Reads images in an actor, slowly, and writes down which process read how many."""

    folder: Path
    readers: Path

    def __call__(self, location: str, sha256: str) -> bytes:
        with (self.readers / str(os.getpid())).open("a") as lines:
            lines.write(f"{location}\n")
        time.sleep(0.05)
        return ImageFiles(self.folder, ImageShelf(self.folder)).read(location, sha256)


class KillingShelf:
    """A shelf that kills one of the two processes that read images as soon as both do."""

    def __init__(self, shelf: VectorShelf, readers: Path) -> None:
        self.shelf, self.readers, self.killed, self.added = shelf, readers, 0, list[int]()

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
        readers = sorted(self.readers.iterdir(), key=lambda path: path.stat().st_mtime)
        if not self.killed and len(readers) == 2:
            self.killed = int(readers[-1].name)  # the one that is at work on a shard
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
    readers = tmp_path / "readers"
    readers.mkdir()
    here, there = VectorShelf(tmp_path / "here"), VectorShelf(tmp_path / "there")

    # Some vectors are known already, so that shards do not start at the first row.
    known = dataset_of({"x": (tmp_path / "images" / "image03.png").read_bytes()}, tmp_path / "x")
    machine = Machine(device="cpu", batch_size=5, threads=1)  # as an actor's: sums are the same
    encoder = load_encoder(spec, machine)
    for shelf in (here, there):
        read = ImageFiles(tmp_path / "x", ImageShelf(tmp_path)).read
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
        ([_Node(2, 0)], ON_CPUS, 5, 1, 1),
        ([_Node(1, 0)], ON_CPUS, 5, 1, 0.5),  # the other half is for Ray Data's own tasks
        ([_Node(8, 0)] * 4, ON_CPUS, 1, 1, 8),  # and not 31: no node has as many
        ([_Node(8, 0)] * 4, ON_CPUS, 4, 4, 7),  # the smallest has 7: a CPU is left over
        ([_Node(8, 0)] * 4, ON_CPUS, 6, 6, 4),
        ([_Node(8, 0)] * 4, ON_CPUS, 100, 31, 1),
        ([_Node(32, 0), _Node(4, 1)], ON_GPUS, 100, 1, 4),  # the GPU's node has 4
        ([_Node(32, 0), _Node(4, 1)], ON_CPUS, 100, 35, 1),
        ([_Node(16, 4), _Node(4, 2)], ON_GPUS, 100, 6, 2),
        ([_Node(4, 0), _Node(1, 4)], ON_GPUS, 100, 1, 1),  # GPUs without CPUs serve nobody
    ],
)
def test_actors_fit_on_the_nodes_and_leave_a_cpu(
    nodes: list[_Node], machine: Machine, shards: int, actors: int, cpus_each: float
) -> None:
    pool = _size_pool(nodes, machine, shards)
    assert (pool.actors, pool.cpus_each) == (actors, cpus_each)
    assert pool.gpus_each == (machine.device == "cuda")
    own = pool.machine
    assert (own.threads, own.workers) == (max(1, int(cpus_each)),) * 2
    assert (own.device, own.engine) == (machine.device, "local")


def test_an_actors_threads_can_be_named() -> None:
    machine = ON_CPUS.model_copy(update={"threads": 3, "workers": 2})
    own = _size_pool([_Node(8, 0)], machine, 100).machine
    assert (own.threads, own.workers) == (3, 2)


def test_auto_takes_the_clusters_gpus_and_cuda_needs_some() -> None:
    machine = Machine(engine="ray")
    assert _size_pool([_Node(4, 1)], machine, 9).machine.device == "cuda"
    assert _size_pool([_Node(4, 0)], machine, 9).machine.device == "cpu"
    with pytest.raises(StudyError, match="the Ray cluster has no GPU"):
        _size_pool([_Node(4, 0)], ON_GPUS, 9)


# --- what an actor says -------------------------------------------------------------------------


def shard_of(dataset: ImageDataset) -> dict[str, Any]:
    """A shard as Ray hands it to an actor: each column one row, and that an array."""
    columns = {name: dataset.images[name].to_numpy(object) for name in Picture._fields}
    return {"start": np.array([0])} | {name: [column] for name, column in columns.items()}


def test_an_actor_without_the_encoder_answers_with_the_reason(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path
) -> None:
    identity = load_encoder(OpenClipEncoder(model=save_clip()), Machine(device="cpu")).identity
    spec = OpenClipEncoder(model=tmp_path / "not-on-this-worker")
    actor = _ShardEncoder(spec, Machine(device="cpu"), identity, files(tmp_path).read)
    assert re.match(
        r"on the Ray worker \S+: .*not-on-this-worker is no folder",
        actor(shard_of(dataset))["error"][0],
    )


def test_an_image_that_a_worker_cannot_see_names_the_worker_and_the_shared_path(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path
) -> None:
    spec = OpenClipEncoder(model=save_clip())
    identity = load_encoder(spec, Machine(device="cpu")).identity
    read = ImageFiles(tmp_path / "not-mounted", ImageShelf(tmp_path)).read
    actor = _ShardEncoder(spec, Machine(device="cpu", workers=1), identity, read)
    [said] = actor(shard_of(dataset))["error"]
    assert re.search(r"not-mounted/image00.png.*on the Ray worker \S+, which must see", said)
    assert "under the same path" in said


def test_an_actor_checks_each_image_against_its_own_digest(
    dataset: ImageDataset, save_clip: Any, tmp_path: Path
) -> None:
    spec = OpenClipEncoder(model=save_clip())
    identity = load_encoder(spec, Machine(device="cpu")).identity
    actor = _ShardEncoder(spec, Machine(device="cpu", workers=1), identity, files(tmp_path).read)
    assert actor(shard_of(dataset))["error"] == [""]
    (tmp_path / "images" / "image07.png").write_bytes(b"another")
    assert "image07.png changed after it was ingested" in actor(shard_of(dataset))["error"][0]
