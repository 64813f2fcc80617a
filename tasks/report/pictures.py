"""Thumbnails that live inside the page, each image once."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

from schemas.artifact import CuretteError


@dataclass(frozen=True)
class Picture:
    """One thumbnail: its CSS class and its data URI."""

    css: str
    uri: str


@dataclass
class PictureBook:
    """Makes a thumbnail where an image is first asked for; the page's style sheet holds them."""

    read: Callable[[str], bytes]
    """Image id -> bytes; raises `FileNotFoundError` where there are no pixels."""
    size_px: int
    pictures: dict[str, Picture | None] = field(default_factory=dict)

    def css(self, image_id: str) -> str:
        """Return the CSS class that shows an image; `""` where its pixels are not to be had."""
        if image_id not in self.pictures:
            uri = self._thumbnail(image_id)
            name = f"i{len(self.pictures)}"
            self.pictures[image_id] = Picture(name, uri) if uri else None
        picture = self.pictures[image_id]
        return picture.css if picture else ""

    @property
    def shown(self) -> list[Picture]:
        """All thumbnails made so far."""
        return [p for p in self.pictures.values() if p]

    def _thumbnail(self, image_id: str) -> str:
        try:
            with Image.open(io.BytesIO(self.read(image_id))) as image:
                small = image.convert("RGB")
        except (CuretteError, OSError, UnidentifiedImageError, ValueError):
            return ""  # the report is about numbers too; a vanished image must not cost it
        small.thumbnail((self.size_px, self.size_px))
        content = io.BytesIO()
        small.save(content, "JPEG", quality=82)
        return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
