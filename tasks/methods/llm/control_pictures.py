"""Pictures drawn here of which it is known what they show, to find out whether a model sees.

A server that takes no images may answer all the same, from what is usual; on these it shows.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from PIL import Image, ImageDraw

from curette.schemas.artifact import StudyError
from curette.schemas.images import ImageDataset
from curette.tasks.methods.encoder.pixels import bare_png, read_rgb
from curette.tasks.methods.llm.shown import Pictures

_SIDE: Final = 224
_INSET: Final = 56


@dataclass(frozen=True)
class ControlPicture:
    """A drawn picture."""

    name: str
    colour: str
    """Of what is on it."""
    content: bytes

    @property
    def sha256(self) -> str:
        """Of its file."""
        return hashlib.sha256(self.content).hexdigest()


@cache
def control_pictures() -> tuple[ControlPicture, ControlPicture, ControlPicture]:
    """Return a disc, a square, and an empty picture."""
    box = (_INSET, _INSET, _SIDE - _INSET, _SIDE - _INSET)
    disc, square, empty = (Image.new("RGB", (_SIDE, _SIDE), c) for c in ("white", "white", "grey"))
    ImageDraw.Draw(disc).ellipse(box, fill="red")
    ImageDraw.Draw(square).rectangle(box, fill="blue")
    return (
        ControlPicture("a red disc", "red", bare_png(disc)),
        ControlPicture("a blue square", "blue", bare_png(square)),
        ControlPicture("an empty grey picture", "grey", bare_png(empty)),
    )


def pictures_of(dataset: ImageDataset, read: Callable[[str], bytes], wanted_by: str) -> Pictures:
    """Return where pixels come from: the control pictures, and the images of a dataset.

    Args:
        dataset: no other image is ever shown.
        read: from an image's `location` to its bytes.
        wanted_by: the setting that asks for them, for errors.

    Raises:
        StudyError: only vectors of some images are known.
    """
    place = dict(zip(dataset.images["sha256"], dataset.images["location"], strict=True))
    if not all(place.values()):
        raise StudyError(
            f"{wanted_by}: of some images only their vectors are known, so nobody can look at "
            f"them; name `dataset.source.image_folder`, or leave {wanted_by} out."
        )
    drawn = {picture.sha256: picture.content for picture in control_pictures()}
    return lambda sha256: read_rgb(drawn[sha256] if sha256 in drawn else read(place[sha256]))
