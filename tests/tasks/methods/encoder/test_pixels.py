"""An encoder sees what a person sees: upright, opaque, with its whole range of grey."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curette.tasks.methods.encoder.pixels import read_rgb


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


RED_BLUE = Image.fromarray(np.array([[[200, 0, 0], [0, 0, 250]]], dtype=np.uint8))


def pixels(content: bytes) -> list[Any]:
    return np.asarray(read_rgb(content)).tolist()


def test_an_image_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    assert pixels(saved(RED_BLUE, exif=exif)) == [[[200, 0, 0]], [[0, 0, 250]]]


def test_sixteen_bits_of_grey_keep_their_whole_range() -> None:
    grey = np.array([[0, 257, 25_700, 65_535]], dtype=np.uint16)
    for form in ("PNG", "TIFF"):
        assert pixels(saved(Image.fromarray(grey), form)) == [
            [[0] * 3, [1] * 3, [100] * 3, [255] * 3]
        ]


def test_what_is_transparent_shows_white() -> None:
    clear = RED_BLUE.convert("RGBA")
    clear.putpixel((1, 0), (0, 0, 250, 0))
    assert pixels(saved(clear)) == [[[200, 0, 0], [255, 255, 255]]]
    half = RED_BLUE.convert("LA")
    half.putpixel((0, 0), (0, 51))
    assert pixels(saved(half))[0][0] == [204] * 3


def test_palettes_show_their_colours_and_their_transparency() -> None:
    palette = RED_BLUE.quantize(2)
    assert pixels(saved(palette)) == [[[200, 0, 0], [0, 0, 250]]]
    blue = palette.getpixel((1, 0))
    assert pixels(saved(palette, transparency=blue)) == [[[200, 0, 0], [255, 255, 255]]]


def test_the_first_frame_counts() -> None:
    second = Image.new("RGB", RED_BLUE.size, "white")
    content = saved(RED_BLUE, "GIF", save_all=True, append_images=[second])
    assert pixels(content) == [[[200, 0, 0], [0, 0, 250]]]


def test_one_bit_and_print_colours_are_converted() -> None:
    assert pixels(saved(Image.new("1", (1, 1), 1))) == [[[255, 255, 255]]]
    assert pixels(saved(Image.new("CMYK", (1, 1), (0, 0, 0, 0)), "TIFF")) == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(np.array([[0.0, 1.0]], dtype=np.float32)),
        Image.fromarray(np.array([[0, 70_000]], dtype=np.int32)),
    ],
    ids=["float", "integer"],
)
def test_thirty_two_bits_are_refused_since_nothing_says_what_is_white(image: Image.Image) -> None:
    with pytest.raises(ValueError, match=r"nothing says which one is white; convert it to 8 or 16"):
        read_rgb(saved(image, "TIFF"))
