"""Thumbnails that live inside the page, each image once."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageOps, UnidentifiedImageError

from curette.schemas.artifact import CuretteError
from curette.schemas.heat_maps import View
from curette.tasks.methods.page.heat_picture import draw_heat


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
    read_mask: Callable[[str], bytes] | None = None
    """Image id -> bytes of its lesion mask."""
    threads: int = 1
    """That decode where many pictures are asked for at once."""
    pictures: dict[str, Picture | None] = field(default_factory=dict)
    others: list[Picture] = field(default_factory=list)
    drawn: dict[tuple[object, ...], str] = field(default_factory=dict)
    """Heat maps that were made already."""

    def css(self, image_id: str) -> str:
        """Return the CSS class that shows an image; `""` where its pixels are not to be had."""
        if image_id not in self.pictures:
            uri = self._thumbnail(image_id)
            name = f"i{len(self.pictures)}"
            self.pictures[image_id] = Picture(name, uri) if uri else None
        picture = self.pictures[image_id]
        return picture.css if picture else ""

    def heat(self, image_id: str, heat: Sequence[Sequence[float]], view: View, size_px: int) -> str:
        """Return the CSS class that shows a heat map; `""` where pixels are not to be had."""
        key = (image_id, tuple(map(tuple, heat)), view, size_px)
        if key not in self.drawn:
            image = opened(self.read, image_id)
            mask = opened(self.read_mask, image_id) if image and self.read_mask else None
            self.drawn[key] = (
                self.place(draw_heat(image, heat, view, mask, size_px)) if image else ""
            )
        return self.drawn[key]

    def place(self, picture: Image.Image) -> str:
        """Return the CSS class that shows a picture as it is."""
        self.others.append(Picture(f"p{len(self.others)}", data_uri(picture)))
        return self.others[-1].css

    @property
    def shown(self) -> list[Picture]:
        """All pictures made so far."""
        return [*(p for p in self.pictures.values() if p), *self.others]

    def _thumbnail(self, image_id: str) -> str:
        small = opened(self.read, image_id)
        if small is None:
            return ""
        small.thumbnail((self.size_px, self.size_px))
        return data_uri(small)


def opened(
    read: Callable[[str], bytes], image_id: str, least_px: int | None = None
) -> Image.Image | None:
    """Return an image; None where it is gone, since the report is about numbers too.

    Args:
        read: returns an image's bytes.
        image_id: of the image.
        least_px: a JPEG may come as small as this; None: as large as it is.
    """
    try:
        with Image.open(io.BytesIO(read(image_id))) as image:
            if least_px:
                image.draft("RGB", (least_px, least_px))
            return ImageOps.exif_transpose(image).convert("RGB")
    except (CuretteError, OSError, UnidentifiedImageError, ValueError):
        return None


def data_uri(picture: Image.Image) -> str:
    """Return a picture as a JPEG in an address."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
