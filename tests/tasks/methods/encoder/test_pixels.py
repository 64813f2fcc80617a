"""An encoder sees what a person sees: upright, opaque, with its whole range of grey."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curette.tasks.methods.encoder.pixels import Window, read_rgb


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


def test_a_window_says_what_is_black_and_white() -> None:
    image = Image.fromarray(np.array([[-1000, -160, 40, 240, 3000]], dtype=np.int32))
    grey = [0, 0, 128, 255, 255]
    assert np.asarray(read_rgb(saved(image, "TIFF"), Window(-160, 240)))[0, :, 0].tolist() == grey


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_no_reason_to_refuse_the_pixels() -> None:
    content = saved(RED_BLUE, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert pixels(content) == [[[200, 0, 0], [0, 0, 250]]]


# --- colours --------------------------------------------------------------------------------------

# Red, green and blue of Display P3 as XYZ under D50, columns; from Apple's published profile
# "Display P3", which is SMPTE EG 432-1 adapted to D50.
P3_TO_XYZ = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
# IEC 61966-2-1 adapted to D50: the inverse of the matrix in the profile sRGB IEC61966-2.1.
SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def profile(matrix: np.ndarray, gamma: float, space: bytes = b"RGB ") -> bytes:
    """Return an ICC profile of three primaries and one gamma, after ICC.1:2001-04."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65_536))

    def xyz(values: Any) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(fixed(v) for v in values)

    text = b"test\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    about = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {
        b"desc": about + bytes(-len(about) % 4),
        b"cprt": b"text\0\0\0\0" + text + bytes(3),
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        **{n + b"XYZ": xyz(column) for n, column in zip((b"r", b"g", b"b"), matrix.T, strict=True)},
        **{n + b"TRC": curve for n in (b"r", b"g", b"b")},
    }
    start, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + xyz((0.9642, 1.0, 0.8249))[8:] + bytes(48)
    return header[:128] + struct.pack(">I", len(tags)) + table + data


def as_srgb(levels: np.ndarray, gamma: float) -> np.ndarray:
    """Return what a P3 colour is in sRGB, worked out from the two definitions."""
    linear = np.linalg.inv(SRGB_TO_XYZ) @ P3_TO_XYZ @ (levels / 255) ** gamma
    linear = np.clip(linear, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * curved)


@pytest.mark.parametrize("colour", [(200, 120, 90), (30, 200, 60), (250, 250, 250), (90, 60, 200)])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_colours_of_a_profile_become_those_of_srgb(form: str, colour: tuple[int, ...]) -> None:
    image = Image.new("RGB", (16, 16), colour)
    options = {"quality": 100} | ({"lossless": True} if form == "WEBP" else {})
    content = saved(image, form, icc_profile=profile(P3_TO_XYZ, 2.2), **options)
    found = np.asarray(read_rgb(content))[8, 8].astype(int)
    assert np.abs(found - as_srgb(np.array(colour), 2.2)).max() <= 3
    assert form in ("JPEG", "WEBP") or read_rgb(saved(image, form)).getpixel((8, 8)) == colour


def test_a_profile_that_says_nothing_new_or_nothing_at_all_changes_nothing() -> None:
    plain = pixels(saved(RED_BLUE))
    for said in (profile(SRGB_TO_XYZ, 2.2), b"no profile", profile(P3_TO_XYZ, 2.2, b"CMYK")):
        found = np.array(pixels(saved(RED_BLUE, icc_profile=said)))
        assert np.abs(found - np.array(plain)).max() <= 3
