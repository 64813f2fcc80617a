"""What is white in images of more than 8 bits is known, said, and the same in every stage."""

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curette.tasks.ingest.listing import ImageBytes, Refusal
from curette.tasks.ingest.ranges import Settled, settle_ranges
from curette.tasks.ingest.verify import Verified, verify_image
from curette.tasks.methods.encoder.pixels import Window, read_rgb
from tests.tasks.ingest.conftest import Draw


def tiff(pixels: np.ndarray, photometric: int = 1) -> bytes:
    """Return a TIFF of one strip, written by hand: the tags are those asked for."""
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    height, width = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, pixels.dtype.itemsize * 8),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(data)),
        (339, 3, kind),
    ]
    entries = b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Dataset:
    """Images on their way into a dataset."""

    def __init__(self, *contents: bytes) -> None:
        self.kept: dict[str, bytes] = {}
        self.contents = contents

    def keep(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        self.kept[sha256] = content
        return sha256

    def settle(self, window: Window | None = None) -> Settled:
        def load(content: bytes) -> ImageBytes:
            return ImageBytes(lambda: content)

        found = [verify_image(load(c), Path("/"), self.keep, 10**8) for c in self.contents]
        return settle_ranges(found, window, self.keep, 2)

    def pixels(self, found: Verified | Refusal) -> list[list[int]]:
        assert isinstance(found, Verified), found
        content = self.kept[found.location.removeprefix("shelf:")]
        assert hashlib.sha256(content).hexdigest() == found.sha256
        levels: list[list[int]] = np.asarray(read_rgb(content).convert("L")).tolist()
        return levels


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("write", [png, tiff])
def test_white_is_what_the_bits_in_use_can_say(bits: int, write: Any) -> None:
    white = (1 << bits) - 1
    bright = np.array([[0, white // 5, white]], np.uint16)
    dim = np.array([[0, white // 5, white // 2]], np.uint16)
    dataset = Dataset(write(bright), write(dim))
    found, notes, windows = dataset.settle()
    assert dataset.pixels(found[0]) == [[0, 51, 255]]
    assert dataset.pixels(found[1])[0][:2] == [0, 51]
    assert notes == (
        f"2 images of 16 bits have values from 0 to {white:,.6g}: 0 was taken for black and "
        f"{white:,.6g} for white ({bits} bits).",
    )
    assert windows == ({} if bits == 16 else {"16 bits": Window(0, white)})


def test_an_image_in_8_bits_is_the_picture_of_its_12_bits() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (9, 9))
    deep = Dataset(png((levels * 4095 // 255).astype(np.uint16)))
    [found] = deep.settle().found
    assert np.abs(np.array(deep.pixels(found)) - levels).max() <= 1


@pytest.mark.parametrize("bits", [12, 16])
def test_where_zero_is_white_the_picture_is_turned_round(bits: int) -> None:
    white = (1 << bits) - 1
    dataset = Dataset(tiff(np.array([[0, white // 5, white]], np.uint16), photometric=0))
    [found], notes, _ = dataset.settle()
    assert dataset.pixels(found) == [[255, 204, 0]]
    assert notes[0].endswith("In 1 of them zero is white.")


def test_a_picture_that_would_be_nearly_black_is_refused_with_its_range() -> None:
    full = np.linspace(0, 65_535, 1000).astype(np.uint16).reshape(1, -1)
    twelve = np.linspace(0, 4_000, 1000).astype(np.uint16).reshape(1, -1)
    padded = twelve.copy()
    padded[0, 0] = 63_536  # what a scanner writes beside its picture
    for odd in (twelve, padded):
        contents = [png(full.reshape(25, 40)), png(odd.reshape(25, 40))]
        good, refused = Dataset(*contents).settle().found
        assert isinstance(good, Verified)
        assert isinstance(refused, Refusal)
        assert refused.reason == "unclear-range"
        assert "nearly black" in refused.detail
        assert "grey_range" in refused.detail
        named = Dataset(*contents)
        _, shown = named.settle(Window(0, 4_000)).found
        assert max(max(row) for row in named.pixels(shown)) == 255


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.array([[-1024, 3071]], np.int16), "whole numbers.*from -1,024 to 3,071"),
        (np.array([[0, 70_000]], np.int32), "whole numbers.*from 0 to 70,000"),
        (np.array([[72, 199]], np.float32), "floating-point numbers.*from 72 to 199"),
        (np.array([[-0.5, 1]], np.float32), "floating-point numbers.*from -0.5 to 1"),
        (np.array([[np.nan, np.inf]], np.float32), "floating-point numbers.*from nan to nan"),
    ],
)
def test_what_nothing_says_is_refused_with_the_range_and_read_with_a_named_one(
    pixels: np.ndarray, found: str
) -> None:
    import re

    [refused] = Dataset(tiff(pixels)).settle().found
    assert isinstance(refused, Refusal)
    assert re.search(f"{found}, and nothing says which is white", refused.detail)
    named = Dataset(tiff(pixels))
    [shown] = named.settle(Window(-160, 240)).found
    scaled = np.clip((np.nan_to_num(pixels[0], nan=-160) + 160) / 400, 0, 1) * 255
    assert named.pixels(shown) == [np.rint(scaled).astype(int).tolist()]


def test_floats_from_0_to_1_are_what_they_are_elsewhere() -> None:
    dataset = Dataset(tiff(np.array([[0, 0.2, 1]], np.float32)))
    [found], notes, _ = dataset.settle()
    assert dataset.pixels(found) == [[0, 51, 255]]
    assert "floating-point numbers have values from 0 to 1: 0 was taken for black and 1" in notes[0]


def test_sixteen_bits_of_colour_that_hold_twelve_are_refused() -> None:
    def coloured(white: int) -> bytes:
        pixels = np.full((4, 4, 3), white, ">u2")
        rows = b"".join(b"\0" + row.tobytes() for row in pixels)

        def chunk(kind: bytes, data: bytes) -> bytes:
            crc = struct.pack(">I", zlib.crc32(kind + data))
            return struct.pack(">I", len(data)) + kind + data + crc

        header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
        body = chunk(b"IDAT", zlib.compress(rows))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")

    [refused] = Dataset(coloured(4095)).settle().found
    assert isinstance(refused, Refusal)
    assert "16 bits a colour" in refused.detail
    whole = Dataset(coloured(65_535))
    assert whole.pixels(whole.settle().found[0]) == [[255] * 4] * 4


def test_images_of_8_bits_are_left_alone(draw: Draw) -> None:
    dataset = Dataset(draw(1))
    [found], notes, windows = dataset.settle()
    assert isinstance(found, Verified)
    assert dataset.kept == {found.sha256: draw(1)}
    assert (notes, windows) == ((), {})


def test_a_stack_of_pages_is_refused_and_smaller_copies_are_none() -> None:
    page = Image.new("L", (16, 16), 9)
    for options, is_stack in (({}, True), ({"tiffinfo": {254: 1}}, False)):
        buffer = io.BytesIO()
        # Pillow writes the same tags for all pages, so the smaller copy is marked afterwards.
        page.save(buffer, "TIFF", save_all=True, append_images=[Image.new("L", (8, 8))])
        content = buffer.getvalue()
        if not is_stack:
            content = _with_second_page_reduced(content)
        [found] = Dataset(content).settle().found
        assert isinstance(found, Refusal) == is_stack, options
        assert not is_stack or found.reason == "several-pages"  # type: ignore[union-attr]


def _with_second_page_reduced(content: bytes) -> bytes:
    """Turn the second page's tag 256 (width), which comes first, into 254 with bit 0 set.

    Its width is told by a tag 256 that replaces one which has a default.
    """
    first = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, first)[0]
    second = struct.unpack_from("<I", content, first + 2 + 12 * count)[0]
    more = struct.unpack_from("<H", content, second)[0]
    entries = [content[second + 2 + 12 * i :][:12] for i in range(more)]
    subfile = struct.pack("<HHII", 254, 4, 1, 1)
    directory = struct.pack("<H", more + 1) + subfile + b"".join(entries) + bytes(4)
    moved = bytearray(content + directory)
    struct.pack_into("<I", moved, first + 2 + 12 * count, len(content))
    return bytes(moved)


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1)])
def test_a_thread_of_an_image_is_refused(size: tuple[int, int]) -> None:
    [found] = Dataset(png(np.zeros(size, np.uint8))).settle().found
    assert isinstance(found, Refusal)
    assert found.reason == "too-narrow"
