"""The vectors of a study's images and texts: from the shelf where they are, else encoded."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.tasks.methods.encoder.batching import encode_in_batches
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder
from curette.tasks.methods.encoder.reading import Picture, Read, picture_reader, prepare_picture
from curette.tasks.methods.threads import usual_threads

SHARD = 1024
"""Vectors put on the shelf at a time: what a run that is killed loses at most, and a batch."""

Encode = Callable[[Int[np.ndarray, " row"]], Iterator[Float32[np.ndarray, "item dim"]]]
"""From row numbers to these rows' vectors, one batch after another."""


@runtime_checkable
class Shelf(Protocol):
    """Where vectors are kept; `storage.vectors.VectorShelf` is one."""

    def get(
        self, encoder_digest: str, keys: Shaped[np.ndarray, " key"], dim: int
    ) -> tuple[Bool[np.ndarray, " key"], Float32[np.ndarray, "key dim"]]:
        """Return which keys (sha256, 32 bytes each) have a vector, and the vectors."""

    def put(
        self,
        encoder_digest: str,
        keys: Shaped[np.ndarray, " key"],
        vectors: Float32[np.ndarray, "key dim"],
    ) -> None:
        """Keep vectors."""


def embed_images(
    dataset: ImageDataset,
    read: Read,
    encoder: ClipEncoder,
    shelf: Shelf,
    machine: Machine,
    advance: Callable[[int], None],
) -> ImageEmbeddings:
    """Return one vector an image, in the order of the dataset's rows.

    An image is read and encoded only where no vector of its bytes is on the shelf.

    Args:
        dataset: the images.
        read: reads an image.
        encoder: turns images into vectors.
        shelf: where vectors are looked up and kept.
        machine: batch size and threads.
        advance: told how many more images have their vector.

    Raises:
        StudyError: an image is gone or cannot be decoded, or the encoder's vectors are not finite.
        CuretteError: whatever `read` says of an image that changed.
    """
    picture = picture_reader(dataset)

    def encode(rows: Int[np.ndarray, " row"]) -> Iterator[Float32[np.ndarray, "item dim"]]:
        return encode_pictures(map(picture, rows), read, encoder, machine)

    keys = image_keys(dataset)
    vectors = _recall_or_encode(keys, encode, encoder.identity, shelf, advance)
    return ImageEmbeddings(tuple(dataset.images["image_id"]), vectors, encoder.identity)


def image_keys(dataset: ImageDataset) -> Shaped[np.ndarray, " image"]:
    """Return the images' sha256, 32 bytes each: a fifth of what they take as texts."""
    digests = (bytes.fromhex(sha256) for sha256 in dataset.images["sha256"])
    return np.fromiter(digests, dtype="S32", count=len(dataset))


def encode_pictures(
    pictures: Iterable[Picture],
    read: Read,
    encoder: ClipEncoder,
    machine: Machine,
) -> Iterator[Float32[np.ndarray, "image dim"]]:
    """Yield the vectors of images, one batch after another, reading ahead in threads."""
    workers = usual_threads() if machine.workers is None else machine.workers
    return encode_in_batches(
        pictures,
        lambda picture: prepare_picture(picture, read, encoder),
        encoder.stack,
        encoder.encode_images,
        machine.batch_size or DEFAULT_BATCH[encoder.device],
        max(workers, 1),
    )


def embed_texts(
    texts: Sequence[str],
    template: str,
    encoder: ClipEncoder,
    shelf: Shelf,
    machine: Machine,
    advance: Callable[[int], None],
) -> TextEmbeddings:
    """Return one vector a text, put into the template, by the bare text.

    A text is looked up on the shelf by its tokens, which is what the encoder sees of it. Texts are
    encoded in the order of their lengths, so that a batch has little padding to compute.

    Raises:
        StudyError: the encoder's vectors are not finite.
    """
    tokens = encoder.tokenize(sentences(texts, template))
    order = encoder.text_lengths(tokens).argsort(stable=True)

    def encode(rows: Int[np.ndarray, " row"]) -> Iterator[Float32[np.ndarray, "item dim"]]:
        return encode_in_batches(
            (tokens[order[row]] for row in rows),
            lambda row: row,
            encoder.stack,
            encoder.encode_texts,
            machine.batch_size or DEFAULT_BATCH[encoder.device],
            workers=1,
        )

    keys = np.array([_token_key(tokens[row], encoder.rounding) for row in order], dtype="S32")
    vectors = _recall_or_encode(keys, encode, encoder.identity, shelf, advance)
    return TextEmbeddings(tuple(texts), vectors[order.argsort()], encoder.identity)


def _token_key(tokens: Int[torch.Tensor, " context"], rounding: str) -> bytes:
    """Return a text's key; beside a Ray cluster texts may be rounded otherwise than images."""
    return hashlib.sha256(f"tokens {rounding} ".encode() + tokens.numpy().tobytes()).digest()


def sentences(texts: Sequence[str], template: str) -> list[str]:
    """Return each text in its template, as it is encoded."""
    return [template.replace("{concept}", text) for text in texts]


def _recall_or_encode(
    keys: Shaped[np.ndarray, " key"],
    encode: Encode,
    identity: EncoderIdentity,
    shelf: Shelf,
    advance: Callable[[int], None],
) -> Float32[np.ndarray, "key dim"]:
    """Return a vector for each key, from the shelf or else encoded from its first row.

    New vectors go to the shelf in shards while the encoder works, and the last ones also when it
    fails, so that the next run goes on from there.
    """
    gathering = Gathering(keys, identity, shelf)
    missing = gathering.missing_rows
    advance(len(keys) - len(missing))
    done = kept = 0
    try:
        for batch in encode(missing):
            gathering.fill(done, batch)
            done += len(batch)
            advance(len(batch))
            if done - kept >= SHARD:
                gathering.keep(kept, done)
                kept = done
    finally:
        gathering.keep(kept, done)
    return gathering.vectors


class Gathering:
    """One vector a key: those that are on the shelf, and room for those that are not."""

    missing_rows: Int[np.ndarray, " missing"]
    """The first row of each key that has no vector yet; a `place` below counts along these."""

    def __init__(
        self, keys: Shaped[np.ndarray, " key"], identity: EncoderIdentity, shelf: Shelf
    ) -> None:
        _, first, place = np.unique(keys, return_index=True, return_inverse=True)
        rows = np.sort(first)  # each key's first, in the order of the keys
        self._place = np.searchsorted(rows, first)[place]
        self._once, self._identity, self._shelf = keys[rows], identity, shelf
        known, self._vectors = shelf.get(identity.digest, self._once, identity.dim)
        self._missing = np.flatnonzero(~known)
        self.missing_rows = rows[self._missing]

    def fill(self, start: int, vectors: Float32[np.ndarray, "item dim"]) -> None:
        """Put the vectors of the missing keys from place `start` on into their room.

        Raises:
            StudyError: a vector is zero or not finite.
        """
        _check_finite(vectors, self._identity)
        self._vectors[self._missing[start : start + len(vectors)]] = vectors

    def keep(self, start: int, stop: int) -> None:
        """Put the missing keys from place `start` to `stop` on the shelf, as one shard."""
        places = self._missing[start:stop]
        if len(places):
            self._shelf.put(self._identity.digest, self._once[places], self._vectors[places])

    @property
    def vectors(self) -> Float32[np.ndarray, "key dim"]:
        """The vector of each key, in the order of the keys."""
        if len(self._once) == len(self._place):
            return self._vectors  # a copy would double them
        return self._vectors[self._place]


def _check_finite(vectors: Float32[np.ndarray, "item dim"], identity: EncoderIdentity) -> None:
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        raise StudyError(
            f"{identity.name} gives vectors that are zero or not finite. At precision bfloat16 "
            "try float32; at float32 its weights are broken."
        )
