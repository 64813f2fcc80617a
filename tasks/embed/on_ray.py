"""A study's images encoded by the actors of a Ray cluster, which see no file of this machine.

Images are read here and go to the actors as bytes, through Ray's object store, as the encoder does
once a node; vectors come back and are put on the shelf here.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from curette.schemas.artifact import StudyError
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import LoadedEncoder
from curette.tasks.embed import STAGE
from curette.tasks.embed.embedding import encode_pictures, image_keys
from curette.tasks.methods.cluster import (
    Node,
    cluster,
    libraries,
    living_nodes,
    require_same,
)
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder, load_to_send, receive
from curette.tasks.methods.encoder.precision import Device, resolve_precision
from curette.tasks.methods.encoder.reading import Picture, Read, picture_reader, read_picture
from curette.tasks.methods.encoder.recall import SHARD, Gathering, Shelf
from curette.tasks.methods.threads import decoding_threads

_PARCEL_BYTES = 64 * 2**20
"""Of images that are sent together; a parcel has a batch at least, and a shard at most."""
_AHEAD = 2
"""Parcels that an actor has at once: one that it encodes, and one that is on its way."""
_LIVES = 3
"""How often a parcel is given to another actor because the one that had it died."""


_Parcel = list[tuple[Picture, bytes]]
_Answer = tuple[int, Float32[np.ndarray, "image dim"]]
"""The place of a parcel's first image among the missing, and the vectors of its images."""


def embed_images_on_ray(
    dataset: ImageDataset,
    read: Read,
    spec: LoadedEncoder,
    shelf: Shelf,
    machine: Machine,
    advance: Callable[[int], None],
) -> ImageEmbeddings:
    """Return one vector an image, in the order of the dataset's rows, encoded by Ray's actors.

    What is on the shelf is not encoded. The rest is read here, no more of it at a time than the
    actors have at hand, and goes to them in parcels of whole batches: those that this machine
    would encode, so that sums are the same. A shard of vectors lands on the shelf as soon as it is
    whole. The parcel of an actor that dies is given to the one that takes its place.

    Args:
        dataset: the images.
        read: reads an image, here.
        spec: the encoder, which is loaded here and sent.
        shelf: where vectors are looked up and kept.
        machine: the cluster's address; batch size and threads of an actor.
        advance: told how many more images have their vector.

    Raises:
        StudyError: Ray is not installed, its cluster cannot be reached, fails or has other
            libraries than this machine; an image is gone or cannot be decoded.
        CuretteError: whatever `read` says of an image that changed.
    """
    spec = resolve_precision(spec, machine)
    encoder = load_to_send(spec, machine)
    gathering = Gathering(image_keys(dataset), encoder.identity, shelf)
    rows = gathering.missing_rows
    advance(len(dataset) - len(rows))
    if len(rows):
        with cluster(machine) as ray:
            pool = _size_pool(living_nodes(ray), machine, -(-len(rows) // SHARD))
            batch_size = machine.batch_size or DEFAULT_BATCH[pool.device]
            whole = -(-SHARD // batch_size) * batch_size
            threads = decoding_threads(machine)
            parcels = _parcels(map(picture_reader(dataset), rows), read, batch_size, whole, threads)
            answers = _encode(ray, parcels, encoder, pool)
            _keep_whole_shards(answers, gathering, whole, advance)
    return ImageEmbeddings(tuple(dataset.images["image_id"]), gathering.vectors, encoder.identity)


def _keep_whole_shards(
    answers: Iterable[_Answer], gathering: Gathering, whole: int, advance: Callable[[int], None]
) -> None:
    """Put vectors on the shelf as they come: a shard once it is whole, at the end what is left."""
    arrived: dict[int, list[int]] = defaultdict(list)
    try:
        for start, vectors in answers:
            gathering.fill(start, vectors)
            advance(len(vectors))
            shard = start // whole
            arrived[shard] += range(start, start + len(vectors))
            if len(arrived[shard]) == whole:
                gathering.keep(sorted(arrived.pop(shard)))
    finally:
        for places in arrived.values():
            gathering.keep(sorted(places))


def _parcels(
    pictures: Iterator[Picture], read: Read, batch_size: int, whole: int, threads: int
) -> Iterator[_Parcel]:
    """Read images; yield them in whole batches, as many as one message may hold.

    Args:
        pictures: drawn lazily, a batch at a time.
        read: reads an image.
        batch_size: images in a batch.
        whole: images in a shard, a multiple of that; no parcel reaches from one into another.
        threads: how many read.

    Raises:
        StudyError: an image is gone.
        CuretteError: whatever `read` says of an image that changed.
    """
    parcel: _Parcel = []
    done = size = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        while batch := list(islice(pictures, batch_size)):
            contents = pool.map(lambda picture: read_picture(picture, read), batch)
            parcel += zip(batch, contents, strict=True)
            done += len(batch)
            size += sum(len(content) for _, content in parcel[-len(batch) :])
            if size >= _PARCEL_BYTES or done % whole == 0:
                yield parcel
                parcel, size = [], 0
    if parcel:
        yield parcel


class _ImageEncoder:
    """What an actor does: take the encoder once, then turn parcels of images into vectors."""

    def __init__(self, machine: Machine, libraries: dict[str, str]) -> None:
        """Keep what it is told; a mistake here would start the actor again and again.

        Args:
            machine: its own settings.
            libraries: those of the machine that sends images and encoder.
        """
        self._machine, self._libraries = machine, libraries
        self._encoder: ClipEncoder | None = None

    def encode(self, parcel: _Parcel, sent: Sequence[Any]) -> Float32[np.ndarray, "image dim"]:
        """Return one vector an image.

        Args:
            parcel: the images.
            sent: a reference to the encoder, in a list so that Ray does not fetch it every time,
                nor before the libraries are known to be the same.

        Raises:
            StudyError: an image cannot be decoded, or libraries are others than where it was read.
        """
        import ray

        if self._encoder is None:
            require_same(self._libraries, _libraries())
            self._encoder = receive(ray.get(sent[0]), self._machine)
        contents = {picture.sha256: content for picture, content in parcel}

        def read(location: str, sha256: str) -> bytes:  # noqa: ARG001 - it was read already
            return contents[sha256]

        pictures = (picture for picture, _ in parcel)
        return np.concatenate(list(encode_pictures(pictures, read, self._encoder, self._machine)))


def _libraries() -> dict[str, str]:
    return {"curette's stage `embed`": STAGE.code[:12], **libraries()}


def _encode(
    ray: Any, parcels: Iterable[_Parcel], encoder: ClipEncoder, pool: "_Pool"
) -> Iterator[_Answer]:
    """Yield each parcel's answer as it is done, an actor having at most `_AHEAD` parcels."""
    remote = ray.remote(
        num_cpus=pool.cpus_each,
        num_gpus=pool.gpus_each,
        max_restarts=-1,
        max_task_retries=_LIVES,
    )(_ImageEncoder)
    sent = [ray.put(encoder)]
    actors = [remote.remote(pool.machine, _libraries()) for _ in range(pool.actors)]
    free, under_way, start = deque(actors * _AHEAD), dict[Any, tuple[int, Any]](), 0

    def next_answer() -> _Answer:
        [done], _ = ray.wait(list(under_way))
        place, actor = under_way.pop(done)
        free.append(actor)
        return place, ray.get(done)

    for parcel in parcels:
        if not free:
            yield next_answer()
        actor = free.popleft()
        under_way[actor.encode.remote(parcel, sent)] = start, actor
        start += len(parcel)
    while under_way:
        yield next_answer()


class _Pool(NamedTuple):
    actors: int
    cpus_each: int
    gpus_each: int
    device: Device
    machine: Machine
    """An actor's own settings."""


def _size_pool(nodes: Sequence[Node], machine: Machine, shards: int) -> _Pool:
    """Return how many actors there are and what each takes: one a GPU, else one a CPU.

    An actor lives on one node. Where there are fewer shards than actors would fit, they take as
    many CPUs each as leave all of them room.
    """
    on_gpus = machine.device != "cpu" and any(node.gpus for node in nodes)
    if machine.device == "cuda" and not on_gpus:
        raise StudyError(
            "the machine's device is `cuda`, but the Ray cluster has no GPU. Start its workers "
            "with --num-gpus, or use `auto` or `cpu`."
        )

    def room(cpus_each: int) -> int:
        fits = (node.cpus // cpus_each for node in nodes)
        return sum(min(n, node.gpus) if on_gpus else n for n, node in zip(fits, nodes, strict=True))

    actors = max(1, min(shards, room(1)))
    most = max(node.cpus for node in nodes)
    cores = max((c for c in range(1, most + 1) if room(c) >= actors), default=0)
    device: Device = "cuda" if on_gpus else "cpu"
    own = machine.model_copy(
        update={
            "device": device,
            "threads": machine.threads or max(cores, 1),
            "workers": max(cores, 1) if machine.workers is None else machine.workers,
            "engine": "local",
            "ray_address": None,
        }
    )
    return _Pool(actors, cores, int(on_gpus), device, own)
