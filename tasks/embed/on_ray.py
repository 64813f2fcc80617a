"""A study's images encoded by the actors of a Ray cluster, one shard of the shelf at a time.

Images are read where they are encoded, so every machine of the cluster must see them under the
same path; vectors come back and are put on the shelf here.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float32

from schemas.artifact import CuretteError, StudyError
from schemas.embeddings import EncoderIdentity, ImageEmbeddings, OpenClipEncoder
from schemas.images import ImageDataset
from schemas.machine import Machine
from tasks.embed.embedding import (
    SHARD,
    Gathering,
    Picture,
    Shelf,
    encode_pictures,
    picture_reader,
)
from tasks.embed.encoder import load_encoder
from tasks.embed.precision import resolve_precision
from tasks.threads import usual_threads

_PROJECT = Path(__file__).parents[2]
_PATIENCE_S = 10


def embed_images_on_ray(
    dataset: ImageDataset,
    read: Callable[[str], bytes],
    spec: OpenClipEncoder,
    shelf: Shelf,
    machine: Machine,
    advance: Callable[[int], None],
) -> ImageEmbeddings:
    """Return one vector an image, in the order of the dataset's rows, encoded by Ray's actors.

    What is on the shelf is not encoded. The rest goes to the actors in shards; each lands on the
    shelf as soon as it is done. The shard of an actor that dies is given to the one that takes
    its place.

    Args:
        dataset: the images.
        read: from a `location` of the dataset to the image's bytes, on any machine of the cluster.
        spec: the encoder, which every actor loads once.
        shelf: where vectors are looked up and kept.
        machine: the cluster's address; batch size and threads of an actor.
        advance: told how many more images have their vector.

    Raises:
        StudyError: Ray is not installed, its cluster cannot be reached or has another encoder; or
            whatever an actor says of an image.
    """
    spec = resolve_precision(spec, machine)
    # This machine may have no GPU although the cluster does; the identity is the same on both.
    identity = load_encoder(spec, machine.model_copy(update={"device": "cpu"})).identity
    gathering = Gathering(dataset.images["sha256"].tolist(), identity, shelf)
    rows = gathering.missing_rows
    advance(len(dataset) - len(rows))
    if len(rows):
        picture = picture_reader(dataset)
        shards = [
            _Shard(start, [picture(row) for row in rows[start : start + SHARD]])
            for start in range(0, len(rows), SHARD)
        ]
        with _cluster(machine) as ray:
            for start, vectors in _encode_shards(ray, shards, read, spec, identity, machine):
                gathering.fill(start, vectors)
                gathering.keep(start, start + len(vectors))
                advance(len(vectors))
    return ImageEmbeddings(tuple(dataset.images["image_id"]), gathering.vectors, identity)


class _Shard(NamedTuple):
    start: int
    """Its first image's place among the missing ones."""
    pictures: list[Picture]


class _Answer(TypedDict):
    """A column each, of one row: Ray Data's batches are tables."""

    start: list[int]
    vectors: list[bytes]
    error: list[str]
    """What a person can mend, such as an image that is gone; empty where all went well."""


class _ShardEncoder:
    """What an actor does: load the encoder once, then turn shards into vectors."""

    def __init__(
        self,
        spec: OpenClipEncoder,
        machine: Machine,
        identity: EncoderIdentity,
        read: Callable[[str], bytes],
    ) -> None:
        self._machine, self._read = machine, read
        self._encoder = load_encoder(spec, machine)
        self._fault = "" if self._encoder.identity == identity else _OTHER_ENCODER

    def __call__(self, batch: dict[str, Any]) -> _Answer:
        """Encode the one shard of a batch."""
        [start] = batch["start"].tolist()
        columns = (batch[name][0].tolist() for name in Picture._fields)
        pictures = [Picture(*row) for row in zip(*columns, strict=True)]
        vectors, error = b"", self._fault
        if not error:
            try:
                parts = encode_pictures(pictures, self._read, self._encoder, self._machine)
                vectors = np.concatenate(list(parts)).astype("<f4").tobytes()
            except CuretteError as mistake:  # as data: Ray would wrap it and try again
                error = str(mistake)
        return {"start": [start], "vectors": [vectors], "error": [error]}


_OTHER_ENCODER = (
    "a worker of the Ray cluster loads another encoder than this machine under the same name: its "
    "files or its version of open_clip differ. Install the same versions on all machines."
)


def _encode_shards(
    ray: Any,
    shards: list[_Shard],
    read: Callable[[str], bytes],
    spec: OpenClipEncoder,
    identity: EncoderIdentity,
    machine: Machine,
) -> Iterator[tuple[int, Float32[np.ndarray, "image dim"]]]:
    """Yield `(start, vectors)` of each shard as it is done, in any order."""
    pool = _size_pool(ray.cluster_resources(), machine, len(shards))
    items = [
        {"start": shard.start, **dict(zip(Picture._fields, _columns(shard), strict=True))}
        for shard in shards
    ]
    # A block a shard: what is handed to an actor, and handed out again where it dies.
    answers = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _ShardEncoder,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=pool.actors, max_tasks_in_flight_per_actor=2),
        num_cpus=pool.cpus_each,
        num_gpus=pool.gpus_each,
        fn_constructor_args=(spec, pool.machine, identity, read),
    )
    for answer in answers.iter_rows():
        if answer["error"]:
            raise StudyError(answer["error"])
        yield answer["start"], np.frombuffer(answer["vectors"], "<f4").reshape(-1, identity.dim)


def _columns(shard: _Shard) -> Iterator[list[str]]:
    return (list(column) for column in zip(*shard.pictures, strict=True))


class _Pool(NamedTuple):
    actors: int
    cpus_each: float
    gpus_each: int
    machine: Machine
    """An actor's own settings."""


def _size_pool(resources: dict[str, float], machine: Machine, shards: int) -> _Pool:
    """Return how many actors there are and what each takes: one a GPU, else one a CPU.

    A CPU is left over, since Ray Data's own tasks wait for ever where actors hold all of them.
    """
    cpus = int(resources.get("CPU", 1))
    gpus = int(resources.get("GPU", 0)) if machine.device != "cpu" else 0
    if machine.device == "cuda" and not gpus:
        raise StudyError(
            "the machine's device is `cuda`, but the Ray cluster has no GPU. Start its workers "
            "with --num-gpus, or use `auto` or `cpu`."
        )
    actors = max(1, min(shards, gpus or cpus - 1))
    cores = max(1, (cpus - 1) // actors)
    own = machine.model_copy(
        update={
            "device": "cuda" if gpus else "cpu",
            "threads": machine.threads or cores,
            "workers": cores if machine.workers is None else machine.workers,
            "engine": "local",
            "ray_address": None,
        }
    )
    return _Pool(actors, cores if cpus > 1 else 0.5, 1 if gpus else 0, own)


@contextmanager
def _cluster(machine: Machine) -> Iterator[Any]:
    """Yield `ray`, connected to the machine's cluster or to one that lives as long as this.

    Raises:
        StudyError: Ray is not installed, or there is no cluster at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if machine.ray_address is None:
        # Ray would write one into the home directory, and for every later cluster there.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise StudyError(
            "the machine's engine is `ray`, but Ray is not installed. Install curette with its "
            "extra: curette[ray]; or use the engine `local`."
        ) from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if machine.ray_address is None:
            ray.init(
                num_cpus=usual_threads() + 1,
                include_dashboard=False,
                runtime_env={"env_vars": {"PYTHONPATH": str(_PROJECT)}},
                **quiet,
            )
        else:
            _knock(machine.ray_address)
            ray.init(address=machine.ray_address, **quiet)
    except Exception as error:  # Ray has many ways to say so
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise StudyError(
            f"the Ray cluster {machine.ray_address or 'of this machine'} cannot be reached: {said} "
            "Check the machine's ray_address, or leave it out to start one here."
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Connect to `host:port` once; Ray itself would try for minutes where nobody answers.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
