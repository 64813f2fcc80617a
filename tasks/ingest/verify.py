"""Whether bytes are an image that every later stage can read, found by decoding it once."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path

from PIL import Image

from curette.tasks.ingest.listing import Content, ImageBytes, ImageFile, Refusal, VectorOnly

_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "JPEG2000", "PPM")
"""Formats that only hold pixels: others may refer to files or are run by outside programs."""

_AHEAD = 64
"""Images in flight for every worker: enough to keep it busy, few enough for memory."""


@dataclass(frozen=True)
class Verified:
    """An image that was decoded to its last pixel."""

    sha256: str
    location: str
    mask_location: str = ""


def verify_images(
    contents: Iterable[Content],
    *,
    root: Path,
    keep: Callable[[bytes], str],
    max_pixels: int,
    workers: int,
    advance: Callable[[int], None],
) -> Iterator[Verified | Refusal]:
    """Yield for each image, in order, where it is and its digest, or why it is refused.

    Args:
        contents: what is known of the images; taken a few at a time.
        root: folder that image files must lie below, links followed.
        keep: keeps bytes that have no file of their own; returns their sha256.
        max_pixels: a larger image is refused before it is decoded.
        workers: threads that decode; Pillow lets go of the interpreter's lock meanwhile.
        advance: told how many more images are done.
    """
    verify = partial(verify_image, root=root.resolve(), keep=keep, max_pixels=max_pixels)
    ahead = iter(contents)
    with ThreadPoolExecutor(max(workers, 1)) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is refused or harmless
        while batch := list(islice(ahead, _AHEAD * max(workers, 1))):
            yield from pool.map(verify, batch)
            advance(len(batch))


def verify_image(
    content: Content, root: Path, keep: Callable[[bytes], str], max_pixels: int
) -> Verified | Refusal:
    """Return where an image is and the digest of its bytes, or why it is refused.

    Args:
        content: what is known of the image.
        root: folder that an image file must lie below, itself without links.
        keep: keeps bytes that have no file of their own; returns their sha256.
        max_pixels: a larger image is refused before it is decoded.
    """
    match content:
        case Refusal():
            return content
        case VectorOnly():
            return Verified(content.sha256, "")
        case ImageFile():
            return _verify_file(content.path, root, max_pixels)
        case ImageBytes():
            return _verify_bytes(content, keep, max_pixels)


def too_many_pixels(width: int, height: int, max_pixels: int) -> Refusal:
    """Return the refusal of an image that says it is larger than the study allows."""
    return Refusal(
        "too-many-pixels",
        f"it says it is {width} x {height} pixels; dataset.max_pixels is {max_pixels}",
    )


def _verify_file(path: Path, root: Path, max_pixels: int) -> Verified | Refusal:
    place = _locate(path, root)
    if isinstance(place, Refusal):
        return place
    try:
        with place.open("rb") as file:
            fault = find_fault(file, max_pixels)
            file.seek(0)
            sha256 = "" if fault else hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Refusal("unreadable-file", f"it cannot be read: {error.strerror}")
    return fault or Verified(sha256, place.relative_to(root).as_posix())


def _locate(path: Path, root: Path) -> Path | Refusal:
    """Return the file that a path leads to, links followed, if it lies below the root."""
    try:
        place = path.resolve()
        place.as_posix().encode()
        if not place.is_relative_to(root):
            return Refusal("outside-folder", "its path leaves the dataset's folder")
        if not place.is_file():  # a pipe would be waited for without end
            return Refusal("missing-file", "it is no file" if place.exists() else "it is not there")
    except UnicodeEncodeError:
        return Refusal("unreadable-file", "its name is not UTF-8")
    except (OSError, RuntimeError, ValueError) as error:  # loops, names too long, null bytes
        return Refusal("missing-file", f"its path leads nowhere: {error}")
    return place


def _verify_bytes(
    content: ImageBytes, keep: Callable[[bytes], str], max_pixels: int
) -> Verified | Refusal:
    try:
        image = content.load()
    except OSError as error:
        return Refusal("unreadable-file", f"it cannot be read: {error}")
    if refusal := find_fault(BytesIO(image), max_pixels):
        return refusal
    mask = f"shelf:{keep(content.load_mask())}" if content.load_mask else ""
    sha256 = keep(image)
    return Verified(sha256, f"shelf:{sha256}", mask)


def find_fault(file: BytesIO | BufferedReader, max_pixels: int) -> Refusal | None:
    """Return why an open file is no readable image, or `None` after decoding all of it.

    The size is read from the header first, so that a small file that unpacks to gigabytes is
    refused without being unpacked.
    """
    if not file.read(1):
        return Refusal("empty-file", "it has no bytes")
    file.seek(0)
    Image.init()  # else Pillow knows only some of the formats
    try:
        with Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                return too_many_pixels(image.width, image.height, max_pixels)
            image.load()
    except Image.DecompressionBombError as error:
        return Refusal("too-many-pixels", str(error))
    except Exception as error:
        # Damaged files make Pillow's decoders raise almost anything: OSError, SyntaxError,
        # struct.error, zlib.error, IndexError, ... None of it may end the run.
        return Refusal("broken-image", f"{type(error).__name__}: {error}")
    return None
