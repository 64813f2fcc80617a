"""The vectors of a dataset's images: from the shelf where they are, else encoded."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Float32, Int, Shaped

from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.tasks.methods.encoder.batching import encode_in_batches
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder
from curette.tasks.methods.encoder.reading import Picture, Read, picture_reader, prepare_picture
from curette.tasks.methods.encoder.recall import Shelf, recall_or_encode
from curette.tasks.methods.threads import decoding_threads


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
    vectors = recall_or_encode(keys, encode, encoder.identity, shelf, advance)
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
    return encode_in_batches(
        pictures,
        lambda picture: prepare_picture(picture, read, encoder),
        encoder.stack,
        encoder.encode_images,
        machine.batch_size or DEFAULT_BATCH[encoder.device],
        decoding_threads(machine),
    )
