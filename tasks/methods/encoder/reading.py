"""Reading a dataset's images for an encoder, each named where that fails."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float

from curette.schemas.artifact import StudyError
from curette.schemas.images import ImageDataset
from curette.tasks.methods.encoder.encoder import ClipEncoder

Read = Callable[[str, str], bytes]
"""From an image's `location` and sha256 to its bytes; refuses changed ones."""


class Picture(NamedTuple):
    """What is needed of an image to read it and to name it."""

    image_id: str
    sha256: str
    location: str


def picture_reader(dataset: ImageDataset) -> Callable[[int], Picture]:
    """Return a function from a row's number to its image; a list would grow with the dataset."""
    columns = [dataset.images[name].array for name in Picture._fields]
    return lambda row: Picture(*(column[row] for column in columns))


def read_picture(picture: Picture, read: Read) -> bytes:
    """Return an image's bytes; name it where that fails.

    Raises:
        StudyError: it is gone.
        CuretteError: whatever `read` says of an image that changed.
    """
    try:
        return read(picture.location, picture.sha256)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{_name(picture)} cannot be read: {error}. It was there when the dataset was "
            "ingested. Put it back, or run the study with --refresh ingest."
        ) from error


def prepare_picture(
    picture: Picture, read: Read, encoder: ClipEncoder
) -> Float[torch.Tensor, "channel height width"]:
    """Return an image ready for the encoder; name it where that fails.

    Raises:
        StudyError: it is gone or cannot be decoded.
        CuretteError: whatever `read` says of an image that changed.
    """
    content = read_picture(picture, read)
    try:
        return encoder.prepare_image(content)
    except Exception as error:  # whatever an image library says of bytes that are not ours
        raise StudyError(
            f"{_name(picture)} cannot be decoded: {error}. Convert or remove it, and run the study "
            "with --refresh ingest."
        ) from error


def _name(picture: Picture) -> str:
    return f"the image {picture.image_id} ({picture.location})"
