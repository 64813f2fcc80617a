"""The vectors of a study's images and texts: from the shelf where they are, else encoded."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int

from schemas.artifact import StudyError
from schemas.embeddings import EncoderIdentity, ImageEmbeddings, TextEmbeddings
from schemas.images import ImageDataset
from schemas.machine import Machine
from tasks.embed.batching import encode_in_batches
from tasks.embed.encoder import DEFAULT_BATCH, ClipEncoder

SHARD = 1024
"""Vectors put on the shelf at a time: what a run that is killed loses at most, and a batch."""

Encode = Callable[[Int[np.ndarray, " row"]], Iterator[Float32[np.ndarray, "item dim"]]]
"""From row numbers to these rows' vectors, one batch after another."""


@runtime_checkable
class Shelf(Protocol):
    """Where vectors are kept; `storage.vectors.VectorShelf` is one."""

    def get(
        self, encoder_digest: str, keys: Sequence[str], dim: int
    ) -> tuple[Bool[np.ndarray, " key"], Float32[np.ndarray, "key dim"]]:
        """Return which keys have a vector, and the vectors."""

    def put(
        self, encoder_digest: str, keys: Sequence[str], vectors: Float32[np.ndarray, "key dim"]
    ) -> None:
        """Keep vectors."""


class _Picture(NamedTuple):
    image_id: str
    sha256: str
    location: str


def embed_images(
    dataset: ImageDataset,
    read: Callable[[str], bytes],
    encoder: ClipEncoder,
    shelf: Shelf,
    machine: Machine,
    advance: Callable[[int], None],
) -> ImageEmbeddings:
    """Return one vector an image, in the order of the dataset's rows.

    An image is read and encoded only where no vector of its bytes is on the shelf.

    Args:
        dataset: the images.
        read: from a `location` of the dataset to the image's bytes; refuses changed ones.
        encoder: turns images into vectors.
        shelf: where vectors are looked up and kept.
        machine: batch size and threads.
        advance: told how many more images have their vector.

    Raises:
        StudyError: an image is gone or cannot be decoded, or the encoder's vectors are not finite.
        CuretteError: whatever `read` says of an image that changed.
    """
    columns = dataset.images[list(_Picture._fields)].itertuples(index=False, name=None)
    pictures = [_Picture(*row) for row in columns]
    workers = os.cpu_count() if machine.workers is None else machine.workers

    def encode(rows: Int[np.ndarray, " row"]) -> Iterator[Float32[np.ndarray, "item dim"]]:
        return encode_in_batches(
            (pictures[row] for row in rows),
            lambda picture: _prepare(picture, read, encoder),
            encoder.stack,
            encoder.encode_images,
            machine.batch_size or DEFAULT_BATCH[encoder.device],
            max(workers or 1, 1),
        )

    keys = [picture.sha256 for picture in pictures]
    vectors = _recall_or_encode(keys, encode, encoder.identity, shelf, advance)
    return ImageEmbeddings(tuple(p.image_id for p in pictures), vectors, encoder.identity)


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

    keys = [_token_key(tokens[row]) for row in order]
    vectors = _recall_or_encode(keys, encode, encoder.identity, shelf, advance)
    return TextEmbeddings(tuple(texts), vectors[order.argsort()], encoder.identity)


def _token_key(tokens: Int[torch.Tensor, " context"]) -> str:
    return hashlib.sha256(b"tokens " + tokens.numpy().tobytes()).hexdigest()


def sentences(texts: Sequence[str], template: str) -> list[str]:
    """Return each text in its template, as it is encoded."""
    return [template.replace("{concept}", text) for text in texts]


def _prepare(
    picture: _Picture, read: Callable[[str], bytes], encoder: ClipEncoder
) -> Float[torch.Tensor, "channel height width"]:
    """Return an image ready for the encoder; name it where that fails."""
    name = f"the image {picture.image_id} ({picture.location})"
    try:
        content = read(picture.location)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{name} cannot be read: {error}. It was there when the dataset was ingested. Put it "
            "back, or run the study with --refresh ingest."
        ) from error
    try:
        return encoder.prepare_image(content)
    except Exception as error:  # whatever an image library says of bytes that are not ours
        raise StudyError(
            f"{name} cannot be decoded: {error}. Convert or remove it, and run the study with "
            "--refresh ingest."
        ) from error


def _recall_or_encode(
    keys: list[str],
    encode: Encode,
    identity: EncoderIdentity,
    shelf: Shelf,
    advance: Callable[[int], None],
) -> Float32[np.ndarray, "key dim"]:
    """Return a vector for each key, from the shelf or else encoded from its first row.

    New vectors go to the shelf in shards while the encoder works, and the last ones also when it
    fails, so that the next run goes on from there.
    """
    first_row: dict[str, int] = {}
    for row, key in enumerate(keys):
        first_row.setdefault(key, row)
    once = list(first_row)
    known, vectors = shelf.get(identity.digest, once, identity.dim)
    missing = np.flatnonzero(~known)
    advance(len(keys) - len(missing))

    def keep(part: Int[np.ndarray, " part"]) -> None:
        if len(part):
            shelf.put(identity.digest, [once[i] for i in part], vectors[part])

    done = kept = 0
    try:
        for batch in encode(np.array([first_row[once[i]] for i in missing], dtype=np.int64)):
            _check_finite(batch, identity)
            vectors[missing[done : done + len(batch)]] = batch
            done += len(batch)
            advance(len(batch))
            if done - kept >= SHARD:
                keep(missing[kept:done])
                kept = done
    finally:
        keep(missing[kept:done])
    if len(once) == len(keys):
        return vectors
    place = {key: i for i, key in enumerate(once)}
    return vectors[[place[key] for key in keys]]


def _check_finite(vectors: Float32[np.ndarray, "item dim"], identity: EncoderIdentity) -> None:
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        raise StudyError(
            f"{identity.name} gives vectors that are zero or not finite. At precision bfloat16 "
            "try float32; at float32 its weights are broken."
        )
