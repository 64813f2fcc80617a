"""Pictures drawn here of which it is known what they show, to find out whether a model sees.

A server that takes no images may answer all the same, from what is usual; on these it shows.
"""

import hashlib
import re
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


@cache
def _radiograph() -> ControlPicture:
    """Return a chest as a radiograph shows it: grey, with lungs, a heart, ribs and a spine."""
    drawn = Image.new("L", (_SIDE, _SIDE), 20)
    pen = ImageDraw.Draw(drawn)
    pen.rounded_rectangle((20, 30, 204, 224), 60, fill=120)
    for left in (38, 122):
        pen.ellipse((left, 50, left + 64, 190), fill=45)
        for top in range(60, 180, 22):
            pen.arc((left - 6, top, left + 70, top + 30), 190, 350, fill=95, width=4)
    pen.ellipse((88, 110, 156, 190), fill=150)
    pen.rectangle((106, 30, 118, 224), fill=175)
    return ControlPicture("a drawn radiograph", "grey", bare_png(drawn.convert("RGB")))


@cache
def _skin() -> ControlPicture:
    """Return a brown spot on skin."""
    drawn = Image.new("RGB", (_SIDE, _SIDE), (232, 190, 172))
    pen = ImageDraw.Draw(drawn)
    pen.ellipse((70, 60, 160, 150), fill=(120, 72, 48))
    pen.ellipse((90, 84, 126, 118), fill=(82, 46, 30))
    return ControlPicture("drawn skin with a brown spot", "brown", bare_png(drawn))


_GREY: Final = re.compile(
    r"(?i)x-?ray|radiogra|tomogra|mammogra|ultraso|sonogra|magnetic|\b(?:ct|mri?|pet|oct)\b"
)
"""Modalities whose images are grey."""


def foreign_picture(modality: str) -> ControlPicture:
    """Return a picture of another kind than the study's images: a radiograph, or skin."""
    return _skin() if _GREY.search(modality) else _radiograph()


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
    controls = (*control_pictures(), _radiograph(), _skin())
    drawn = {picture.sha256: picture.content for picture in controls}
    return lambda sha256: read_rgb(drawn[sha256] if sha256 in drawn else read(place[sha256]))
