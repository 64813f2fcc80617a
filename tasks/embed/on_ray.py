"""A study's images encoded by the actors of a Ray cluster, one shard of the shelf at a time.

Images are read where they are encoded, so every machine of the cluster must see them under the
same path; vectors come back and are put on the shelf here.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float32, Int

from curette.schemas.artifact import CuretteError, StudyError
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import LoadedEncoder
from curette.tasks.embed.embedding import encode_pictures, image_keys
from curette.tasks.methods.encoder.encoder import identify_encoder, load_encoder
from curette.tasks.methods.encoder.precision import resolve_precision
from curette.tasks.methods.encoder.reading import Picture, Read
from curette.tasks.methods.encoder.recall import SHARD, Gathering, Shelf
from curette.tasks.methods.threads import usual_threads

_PROJECT = Path(__file__).parents[3]
_PATIENCE_S = 10


def embed_images_on_ray(
    dataset: ImageDataset,
    read: Read,
    spec: LoadedEncoder,
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
        read: reads an image on any machine; it goes to every actor, so it is small.
        spec: the encoder, which every actor loads once.
        shelf: where vectors are looked up and kept.
        machine: the cluster's address; batch size and threads of an actor.
        advance: told how many more images have their vector.

    Raises:
        StudyError: Ray is not installed, its cluster cannot be reached, fails or has no such
            encoder or another one; or whatever an actor says of an image.
    """
    spec = resolve_precision(spec, machine)
    identity = identify_encoder(spec, machine)
    gathering = Gathering(image_keys(dataset), identity, shelf)
    rows = gathering.missing_rows
    advance(len(dataset) - len(rows))
    if len(rows):
        with _cluster(machine) as ray:
            pool = _size_pool(_nodes(ray), machine, -(-len(rows) // SHARD))
            data = ray.data.from_items(_shards(dataset, rows), override_num_blocks=pool.shards)
            for start, vectors in _encode_shards(ray, data, read, spec, identity, pool):
                gathering.fill(start, vectors)
                gathering.keep(start, start + len(vectors))
                advance(len(vectors))
    return ImageEmbeddings(tuple(dataset.images["image_id"]), gathering.vectors, identity)


def _shards(dataset: ImageDataset, rows: Int[np.ndarray, " missing"]) -> list[dict[str, Any]]:
    """Return the missing images in shards: a `start` among them, and a column each of a Picture.

    Ray keeps a copy of its own; who calls this need not keep the list.
    """
    columns = {name: dataset.images[name].array for name in Picture._fields}
    return [
        {
            "start": start,
            **{name: list(c[rows[start : start + SHARD]]) for name, c in columns.items()},
        }
        for start in range(0, len(rows), SHARD)
    ]


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
        spec: LoadedEncoder,
        machine: Machine,
        identity: EncoderIdentity,
        read: Read,
    ) -> None:
        self._machine, self._read, self._fault = machine, read, ""
        try:
            self._encoder = load_encoder(spec, machine)
        except StudyError as mistake:  # as data: Ray would start the actor again and again
            self._fault = f"on the Ray worker {socket.gethostname()}: {mistake}"
            return
        if self._encoder.identity != identity:
            self._fault = _OTHER_ENCODER

    def __call__(self, batch: dict[str, Any]) -> _Answer:
        """Encode the one shard of a batch."""
        [start] = batch["start"].tolist()
        columns = (batch[name][0].tolist() for name in Picture._fields)
        pictures = [Picture(*row) for row in zip(*columns, strict=True)]
        vectors, error = b"", self._fault
        if not error:
            try:
                parts = encode_pictures(pictures, self._see, self._encoder, self._machine)
                vectors = np.concatenate(list(parts)).astype("<f4").tobytes()
            except CuretteError as mistake:  # as data: Ray would wrap it and try again
                error = str(mistake)
        return {"start": [start], "vectors": [vectors], "error": [error]}

    def _see(self, location: str, sha256: str) -> bytes:
        """Read an image; say which machine cannot."""
        try:
            return self._read(location, sha256)
        except OSError as error:
            raise OSError(
                f"{error} on the Ray worker {socket.gethostname()}, which must see the file "
                "under the same path as the machine that took the images in"
            ) from error


_OTHER_ENCODER = (
    "a worker of the Ray cluster loads another encoder than this machine under the same name: its "
    "files or its versions of libraries differ. Install the same versions on all machines."
)


def _encode_shards(
    ray: Any,
    data: Any,
    read: Read,
    spec: LoadedEncoder,
    identity: EncoderIdentity,
    pool: "_Pool",
) -> Iterator[tuple[int, Float32[np.ndarray, "image dim"]]]:
    """Yield `(start, vectors)` of each shard as it is done, in any order.

    A block of `data` is a shard: what is handed to an actor, and handed out again where it dies.
    """
    answers = data.map_batches(
        _ShardEncoder,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=pool.actors, max_tasks_in_flight_per_actor=2),
        num_cpus=pool.cpus_each,
        num_gpus=pool.gpus_each,
        fn_constructor_args=(spec, pool.machine, identity, read),
    )
    try:
        for answer in answers.iter_rows():
            if answer["error"]:
                raise StudyError(answer["error"])
            vectors = np.frombuffer(answer["vectors"], "<f4").reshape(-1, identity.dim)
            yield answer["start"], vectors
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise StudyError(
            f"the Ray cluster failed to encode images: {said[0][:300]} All its machines need the "
            "same versions of Python, Ray and curette; what was done is kept."
        ) from error


class _Node(NamedTuple):
    cpus: int
    gpus: int


def _nodes(ray: Any) -> list[_Node]:
    """Return what each living machine of the cluster offers."""
    offered = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [_Node(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in offered]


class _Pool(NamedTuple):
    shards: int
    actors: int
    cpus_each: float
    gpus_each: int
    machine: Machine
    """An actor's own settings."""


def _size_pool(nodes: Sequence[_Node], machine: Machine, shards: int) -> _Pool:
    """Return how many actors there are and what each takes: one a GPU, else one a CPU.

    An actor lives on one node. Where there are fewer shards than actors would fit, they take as
    many CPUs each as leave all of them room. A CPU of the largest node is left over, since Ray
    Data's own tasks wait for ever where actors hold all of them.
    """
    on_gpus = machine.device != "cpu" and any(node.gpus for node in nodes)
    if machine.device == "cuda" and not on_gpus:
        raise StudyError(
            "the machine's device is `cuda`, but the Ray cluster has no GPU. Start its workers "
            "with --num-gpus, or use `auto` or `cpu`."
        )
    largest = max(range(len(nodes)), key=lambda i: nodes[i].cpus)
    free = [_Node(n.cpus - (i == largest), n.gpus) for i, n in enumerate(nodes)]

    def room(cpus_each: int) -> int:
        fits = (node.cpus // cpus_each for node in free)
        return sum(min(n, node.gpus) if on_gpus else n for n, node in zip(fits, free, strict=True))

    actors = max(1, min(shards, room(1)))
    cores = max((c for c in range(1, nodes[largest].cpus + 1) if room(c) >= actors), default=0)
    own = machine.model_copy(
        update={
            "device": "cuda" if on_gpus else "cpu",
            "threads": machine.threads or max(cores, 1),
            "workers": max(cores, 1) if machine.workers is None else machine.workers,
            "engine": "local",
            "ray_address": None,
        }
    )
    return _Pool(shards, actors, cores or 0.5, int(on_gpus), own)


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
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = -1  # a shard of a large encoder may take an hour
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
