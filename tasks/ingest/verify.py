"""Whether bytes are an image that every later stage can read, found by decoding it once."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from curette.tasks.ingest.formats import HEAD_BYTES, told_format
from curette.tasks.ingest.listing import Content, ImageBytes, ImageFile, Refusal, VectorOnly, quoted
from curette.tasks.methods.encoder.dicom import DicomRefused, dicom_png, is_dicom
from curette.tasks.methods.encoder.pixels import (
    Values,
    Window,
    bare_png,
    open_picture,
    to_plain,
    values_of,
)

_AHEAD = 64
"""Images in flight for every worker: enough to keep it busy, few enough for memory."""
_NARROW = 200
"""Times that a side may be longer than the other: an encoder enlarges the shorter one."""
_REDUCED, _OLD_REDUCED, _MASK_PAGE = 1, 2, 4
_OUTSIDE = "its path leaves the dataset's folder"
_ABSENT = "it is not there"
_BETWEEN = 0.1
"""Share of pixels neither black nor white from which on a picture is no mask."""


@dataclass(frozen=True)
class Verified:
    """An image that was decoded to its last pixel."""

    sha256: str
    location: str
    mask_location: str = ""
    deep: Deep | None = None
    frames: int = 1


@dataclass(frozen=True)
class Deep:
    """An image of more than 8 bits: nothing in it says which of its values is white."""

    values: Values
    load: Callable[[], bytes]


@dataclass(frozen=True)
class Look:
    """What decoding an image has shown."""

    values: Values | None
    frames: int
    size: tuple[int, int]


def verify_images(
    contents: Iterable[Content],
    *,
    root: Path,
    keep: Callable[[bytes], str],
    max_pixels: int,
    workers: int,
    advance: Callable[[int], None],
    window: Window | None = None,
) -> Iterator[Verified | Refusal]:
    """Yield for each image, in order, where it is and its digest, or why it is refused.

    Args:
        contents: what is known of the images; taken a few at a time.
        root: folder that image files must lie below, links followed.
        keep: keeps bytes that have no file of their own; returns their sha256.
        max_pixels: a larger image is refused before it is decoded.
        workers: threads that decode; Pillow lets go of the interpreter's lock meanwhile.
        advance: told how many more images are done.
        window: the values that are black and white in DICOM files, in place of their own.
    """
    verify = partial(
        verify_image, root=root.resolve(), keep=keep, max_pixels=max_pixels, window=window
    )
    ahead = iter(contents)
    with ThreadPoolExecutor(max(workers, 1)) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is refused or harmless
        while batch := list(islice(ahead, _AHEAD * max(workers, 1))):
            yield from pool.map(verify, batch)
            advance(len(batch))


def verify_image(
    content: Content,
    root: Path,
    keep: Callable[[bytes], str],
    max_pixels: int,
    window: Window | None = None,
) -> Verified | Refusal:
    """Return where an image is and the digest of its bytes, or why it is refused.

    Of a DICOM file only the picture is kept, as a PNG on the shelf: nothing later reads its header.

    Args:
        content: what is known of the image.
        root: folder that an image file must lie below, itself without links.
        keep: keeps bytes that have no file of their own; returns their sha256.
        max_pixels: a larger image is refused before it is decoded.
        window: the values that are black and white in a DICOM file, in place of its own.
    """
    match content:
        case Refusal():
            return content
        case VectorOnly():
            return Verified(content.sha256, "")
        case ImageFile():
            return _verify_file(content, root, keep, max_pixels, window)
        case ImageBytes():
            return _verify_bytes(content, keep, max_pixels, window)


def too_many_pixels(width: int, height: int, max_pixels: int) -> Refusal:
    """Return the refusal of an image that says it is larger than the study allows."""
    return Refusal(
        "too-many-pixels",
        f"it says it is {width} x {height} pixels; dataset.max_pixels is {max_pixels}",
    )


def _verify_file(
    image: ImageFile,
    root: Path,
    keep: Callable[[bytes], str],
    max_pixels: int,
    window: Window | None,
) -> Verified | Refusal:
    place = _locate(image.path, image.allowed or (root,))
    if isinstance(place, Refusal):
        return place
    try:
        with place.open("rb") as file:
            picture, seen = _look(file, max_pixels, window)
            if isinstance(seen, Refusal):
                return seen
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Refusal("unreadable-file", f"it cannot be read: {error.strerror}")
    if picture:
        found = _on_shelf(picture, keep)
    else:
        deep = seen.values and Deep(seen.values, place.read_bytes)
        found = Verified(sha256, place.relative_to(root).as_posix(), "", deep, seen.frames)
    if not image.masks:
        return found
    mask = _read_masks(image, root, max_pixels, seen.size)
    if isinstance(mask, Refusal) or mask is None:
        return mask or found
    return replace(found, mask_location=f"shelf:{keep(mask)}")


def _look(
    file: BytesIO | BufferedReader, max_pixels: int, window: Window | None
) -> tuple[bytes, Look | Refusal]:
    """Return what an open file shows; if it is a DICOM file, with its picture as a PNG."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not is_dicom(head):
        return b"", look_at(file, max_pixels)
    try:
        picture = dicom_png(file.read(), max_pixels, window)
    except DicomRefused as refused:
        return b"", Refusal(refused.reason, str(refused))
    return picture, look_at(BytesIO(picture), max_pixels)


def _on_shelf(picture: bytes, keep: Callable[[bytes], str]) -> Verified:
    keep(picture)
    sha256 = hashlib.sha256(picture).hexdigest()
    return Verified(sha256, f"shelf:{sha256}")


def _read_masks(
    image: ImageFile, root: Path, max_pixels: int, size: tuple[int, int]
) -> bytes | Refusal | None:
    """Return a PNG that is white wherever one of an image's masks is; None where none is."""
    union = np.zeros(size[::-1], dtype=bool)
    for path in image.masks:
        name = quoted(path.name)
        place = _locate(path, image.allowed or (root,))
        if isinstance(place, Refusal):
            return Refusal("broken-mask", f"its mask {name}: {place.detail}")
        content = place.read_bytes()
        seen = look_at(BytesIO(content), max_pixels)
        if isinstance(seen, Refusal):
            return Refusal("broken-mask", f"its mask {name}: {seen.detail}")
        if seen.size != size:
            said = f"{seen.size[0]} x {seen.size[1]} pixels and the image {size[0]} x {size[1]}"
            return Refusal("broken-mask", f"its mask {name} has {said}")
        with open_picture(BytesIO(content)) as opened:
            level = np.asarray(opened if opened.mode != "RGBA" else opened.convert("LA"))
        level = level.reshape(*size[::-1], -1).max(axis=2).astype(float)
        share = level / max(level.max(), 1e-9)
        if ((share > 0.2) & (share < 0.8)).mean() > _BETWEEN:
            return Refusal("broken-mask", f"{name}, named like its mask, is no mask but a picture")
        union |= share > 0.5
    if not union.any():
        return None
    return bare_png(Image.fromarray(np.where(union, 255, 0).astype(np.uint8)))


def _locate(path: Path, allowed: tuple[Path, ...]) -> Path | Refusal:
    """Return the file that a path leads to, links followed, if it lies below an allowed folder."""
    try:
        place = path.resolve()
        place.as_posix().encode()
        linked = f"it is a link to {quoted(str(place))}, " if path.is_symlink() else ""
        if not any(place.is_relative_to(folder) for folder in allowed):
            said = f"{linked}outside the dataset's folder" if linked else _OUTSIDE
            return Refusal("outside-folder", said)
        if not place.is_file():  # a pipe would be waited for without end
            if place.exists():
                return Refusal("missing-file", "it is no file")
            return Refusal("missing-file", f"{linked}which is not there" if linked else _ABSENT)
    except UnicodeEncodeError:
        return Refusal("unreadable-file", "its name is not UTF-8")
    except (OSError, RuntimeError, ValueError) as error:  # loops, names too long, null bytes
        return Refusal("missing-file", f"its path leads nowhere: {error}")
    return place


def _verify_bytes(
    content: ImageBytes, keep: Callable[[bytes], str], max_pixels: int, window: Window | None
) -> Verified | Refusal:
    try:
        image = content.load()
    except OSError as error:
        return Refusal("unreadable-file", f"it cannot be read: {error}")
    picture, seen = _look(BytesIO(image), max_pixels, window)
    if isinstance(seen, Refusal):
        return seen
    image = picture or image
    mask = f"shelf:{keep(content.load_mask())}" if content.load_mask else ""
    sha256 = hashlib.sha256(image).hexdigest()
    if seen.values is None:
        keep(image)
        return Verified(sha256, f"shelf:{sha256}", mask, None, seen.frames)
    # What goes to the shelf is decided with the window of the whole dataset.
    return Verified(sha256, f"shelf:{sha256}", mask, Deep(seen.values, content.load), seen.frames)


def look_at(file: BytesIO | BufferedReader, max_pixels: int) -> Look | Refusal:
    """Return what an open file shows after decoding all of it, or why it is no readable image.

    What passes here can be read by `read_rgb`, given a window where there are more than 8 bits.
    The size is read from the header first, so that a small file that unpacks to gigabytes is
    refused without being unpacked.
    """
    head = file.read(HEAD_BYTES)
    if not head:
        return Refusal("empty-file", "it has no bytes")
    file.seek(0)
    try:
        with open_picture(file) as image:
            if refusal := _shape_fault(image, max_pixels):
                return refusal
            frames = getattr(image, "n_frames", 1) if image.format != "TIFF" else 1
            values = values_of(image)
            if values is None:
                to_plain(image)
            return Look(values, frames, image.size)
    except Image.DecompressionBombError as error:
        return Refusal("too-many-pixels", str(error))
    except UnidentifiedImageError:
        said = told_format(head) or "it is no picture of a known format, or broken from the start"
        return Refusal("broken-image", said)
    except Exception as error:
        # Damaged files make Pillow's decoders raise almost anything: OSError, SyntaxError,
        # struct.error, zlib.error, IndexError, ... None of it may end the run.
        said = told_format(head) or f"{type(error).__name__}: {error}"
        return Refusal("broken-image", said)


def _shape_fault(image: Image.Image, max_pixels: int) -> Refusal | None:
    """Return why an opened image is refused before it is decoded."""
    width, height = image.size
    if width * height > max_pixels:
        return too_many_pixels(width, height, max_pixels)
    if max(width, height) > _NARROW * min(width, height):
        return Refusal(
            "too-narrow",
            f"it is {width} x {height} pixels; an encoder would enlarge the shorter side",
        )
    if (pages := _pages(image)) > 1:
        said = f"it has {pages} pages, and nothing says which is the picture"
        return Refusal("several-pages", said)
    return None


def _pages(image: Image.Image) -> int:
    """Return how many pages of a TIFF are pictures: not those called smaller copies or masks."""
    count = getattr(image, "n_frames", 1)
    if image.format != "TIFF" or count == 1:
        return 1
    pictures = 0
    for page in range(count):
        image.seek(page)
        tags = image.tag_v2  # type: ignore[attr-defined]
        is_less = tags.get(254, 0) & (_REDUCED | _MASK_PAGE) or tags.get(255) == _OLD_REDUCED
        pictures += not is_less
        if page == 0 and is_less:
            pictures += 1  # the first is the one that would be read
    image.seek(0)
    return pictures
