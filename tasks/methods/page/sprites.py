"""Many small pictures in few files: sheets of thumbnails, of which each row shows one place."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from PIL import Image, ImageOps

from curette.tasks.methods.page.pictures import Picture, opened

_COLUMNS = 20
_SHEET = _COLUMNS * _COLUMNS


@dataclass(frozen=True)
class Sprite:
    """Where a thumbnail is: the CSS class of its sheet, and its place on that."""

    css: str
    place: str
    """A CSS position."""


@dataclass(frozen=True)
class Sprites:
    """Square thumbnails, by names; in the page itself, or in files beside it."""

    thumbnails: Mapping[str, Image.Image]
    """All `px` wide and high, as `squared` makes them."""
    px: int
    beside: str = ""
    """The folder, relative to the page, in which the sheets will lie; empty: in the page."""
    _numbers: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Number the thumbnails."""
        numbers = {name: number for number, name in enumerate(self.thumbnails)}
        object.__setattr__(self, "_numbers", numbers)

    def of(self, name: str) -> Sprite | None:
        """Return where a thumbnail is; None where there is none."""
        if (number := self._numbers.get(name)) is None:
            return None
        sheet, place = divmod(number, _SHEET)
        row, column = divmod(place, _COLUMNS)
        return Sprite(f"s{sheet}", f"-{column * self.px}px -{row * self.px}px")

    @cached_property
    def sheets(self) -> dict[str, bytes]:
        """File name -> JPEG."""
        images = list(self.thumbnails.values())
        sheets = {}
        for number, start in enumerate(range(0, len(images), _SHEET)):
            shown = images[start : start + _SHEET]
            rows = -(-len(shown) // _COLUMNS)
            sheet = Image.new("RGB", (_COLUMNS * self.px, rows * self.px), "white")
            for place, image in enumerate(shown):
                row, column = divmod(place, _COLUMNS)
                sheet.paste(image, (column * self.px, row * self.px))
            content = io.BytesIO()
            sheet.save(content, "JPEG", quality=78)
            sheets[f"sheet-{number}.jpg"] = content.getvalue()
        return sheets

    @property
    def shown(self) -> list[Picture]:
        """The sheets as the page's style sheet names them."""
        return [
            Picture(
                f"s{number}",
                f"{self.beside}/{name}"
                if self.beside
                else "data:image/jpeg;base64," + base64.b64encode(content).decode(),
            )
            for number, (name, content) in enumerate(self.sheets.items())
        ]


def squared(picture: Image.Image, px: int) -> Image.Image:
    """Return the middle of a picture, `px` wide and high."""
    return ImageOps.fit(picture.convert("RGB"), (px, px))


def squares(
    image_ids: Iterable[str], read: Callable[[str], bytes], px: int, threads: int
) -> dict[str, Image.Image]:
    """Return a thumbnail of each image, without those whose pixels are not to be had.

    Args:
        image_ids: of the images.
        read: from an image's id to its bytes.
        px: of its sides.
        threads: that decode.
    """

    def square(image_id: str) -> Image.Image | None:
        image = opened(read, image_id, 2 * px)
        return squared(image, px) if image else None

    ids = list(image_ids)
    with ThreadPoolExecutor(threads) as pool:
        return {i: x for i, x in zip(ids, pool.map(square, ids), strict=True) if x}
