"""Pictures drawn here of which it is known what they show, to find out whether a model sees.

A server that takes no images may answer all the same, from what is usual; on these it shows.
"""

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from typing import Final

from PIL import Image, ImageDraw

from curette.tasks.methods.encoder.pixels import read_rgb
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
        ControlPicture("a red disc", "red", _png(disc)),
        ControlPicture("a blue square", "blue", _png(square)),
        ControlPicture("an empty grey picture", "grey", _png(empty)),
    )


def with_controls(pictures: Pictures) -> Pictures:
    """Return where pixels come from: the control pictures, and those given."""
    drawn = {picture.sha256: picture.content for picture in control_pictures()}
    return lambda sha256: read_rgb(drawn[sha256]) if sha256 in drawn else pictures(sha256)


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
