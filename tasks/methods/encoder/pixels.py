"""From an image's bytes to its pixels, the same way in every stage and for every encoder."""

import io
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageCms

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "JPEG2000", "PPM")
"""Formats that only hold pixels: others may refer to files or are run by outside programs."""

READING = (
    "first frame; EXIF orientation applied; 16-bit grey / 257, white-is-zero inverted; "
    "transparency over white; colours of ICC profiles in sRGB"
)
"""How bytes become pixels. Part of every identity: change it whenever `read_rgb` changes."""

Depth = Literal["16 bits", "integers", "floats", "colours"]
"""16 bits of grey without a sign, other whole numbers, floating ones, and 16 bits a colour."""

_BULK = 99.5
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SAME_COLOUR = 3
"""Levels of 255 by which a profile may change colours and still be called sRGB."""


class Window(NamedTuple):
    """The values that are shown black and white; those beyond are cut off."""

    black: float
    white: float


PLAIN = Window(0, 65_535)


class Values(NamedTuple):
    """What the numbers of an image of more than 8 bits are, which say not what is white."""

    depth: Depth
    lowest: float
    highest: float
    bulk: float
    """What all but 0.5 % of them are no brighter than."""
    is_white_zero: bool = False


def open_picture(file: io.BytesIO | io.BufferedReader) -> Image.Image:
    """Open an image of one of `FORMATS`; only its header is read."""
    Image.init()  # else Pillow knows only some of the formats
    return Image.open(file, formats=FORMATS)


def read_rgb(content: bytes, window: Window = PLAIN) -> Image.Image:
    """Return an image as a viewer shows it: the first frame, upright, opaque, 8 bits a channel.

    Values of more than 8 bits are scaled so that the `window`'s are black and white; by default
    65,535 is white in every image of 16 bits of grey. Pillow alone would cut them off at 255.
    Where the file says that zero is white they are turned round. What is transparent shows white.
    Colours of an ICC profile, such as Display P3's, become those of sRGB.

    Raises:
        ValueError: an image of 32 bits a pixel and no window, in which no number stands for white.
        OSError: the bytes are no image that Pillow can read.
    """
    with open_picture(io.BytesIO(content)) as image:
        return in_srgb(to_plain(image, window), image)


def bare_png(image: Image.Image) -> bytes:
    """Return an image's pixels as a PNG, without anything that is said of them."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(file, "PNG")  # an array has no metadata
    return file.getvalue()


def to_plain(image: Image.Image, window: Window = PLAIN) -> Image.Image:
    """Return an opened image upright, opaque, and with 8 bits a channel, in its own colours.

    Raises:
        ValueError: as of `read_rgb`.
    """
    image.load()
    plain = image
    if _is_grey_and_deep(image):
        plain = Image.fromarray(_scaled(image, window))
    elif image.has_transparency_data:
        above = image.convert("RGBA")
        plain = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above).convert("RGB")
    turn = _TURNS.get(_orientation(image))
    return plain if turn is None else plain.transpose(turn)


def in_srgb(plain: Image.Image, image: Image.Image) -> Image.Image:
    """Return `plain` in the colours of sRGB, after the ICC profile that the image brought along.

    A profile that is broken, or of other colours than the image's, says nothing.
    """
    profile = image.info.get("icc_profile")
    found = _to_srgb(profile) if isinstance(profile, bytes) and profile else None
    if found is None or (found[0] == "CMYK") != (plain.mode == "CMYK"):
        return plain.convert("RGB")
    mode, transform = found
    return ImageCms.applyTransform(plain.convert(mode), transform) or plain.convert("RGB")


@lru_cache(maxsize=64)
def _to_srgb(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    """Return the colours of a profile, and the way from them to sRGB where that is not nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _SPACES[source.profile.xcolor_space]
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        if mode != "CMYK":
            levels = np.arange(0, 256, 51, dtype=np.uint8)
            grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
            before = Image.fromarray(grid).convert(mode)
            after = ImageCms.applyTransform(before, transform)
            change = np.asarray(after, int) - np.asarray(before.convert("RGB"), int)
            if np.abs(change).max() <= _SAME_COLOUR:
                return None
    except Exception:  # whatever littleCMS says of bytes that are not ours
        return None
    return mode, transform


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF is no reason to refuse the pixels
        return 1


# --- more than 8 bits -----------------------------------------------------------------------------


def values_of(image: Image.Image) -> Values | None:
    """Return what the values of an opened image are; `None` for one of 8 bits.

    Of 16 bits a colour Pillow gives the upper 8 only: values are known to within 255.
    """
    if _is_grey_and_deep(image):
        grey = np.asarray(image)
        depth: Depth = "floats" if image.mode == "F" else "16 bits"
        if depth == "floats":
            grey = grey[np.isfinite(grey)]
        if not grey.size:
            return Values(depth, np.nan, np.nan, np.nan)
        lowest, highest = float(grey.min()), float(grey.max())
        if image.mode == "I" and (lowest < 0 or highest > PLAIN.white):
            depth = "integers"
        inverted = is_white_zero(image)
        bulk = float(np.percentile(grey, 100 - _BULK if inverted else _BULK))
        return Values(depth, lowest, highest, bulk, inverted)
    if _has_deep_colours(image):
        image.load()
        upper = np.asarray(image.convert("RGB")).max(axis=2)
        top, bulk = float(upper.max()), float(np.percentile(upper, _BULK))
        return Values("colours", float(upper.min()) * 256, top * 256 + 255, bulk * 256 + 255)
    return None


def _is_grey_and_deep(image: Image.Image) -> bool:
    return image.mode.startswith(("I", "F"))


def _has_deep_colours(image: Image.Image) -> bool:
    """Return whether an image that was not loaded yet is unpacked from 16 bits a colour."""
    layouts = [tile[3] for tile in getattr(image, "tile", ())]
    names = [layout[0] if isinstance(layout, tuple) and layout else layout for layout in layouts]
    return any(";16" in str(name) for name in names)


def _scaled(image: Image.Image, window: Window) -> Shaped[np.ndarray, "height width"]:
    grey = np.asarray(image)
    wide = image.mode == "F" or grey.min() < 0 or grey.max() > PLAIN.white
    if wide and window == PLAIN:
        raise ValueError(
            f"its pixels are 32-bit numbers (mode {image.mode}) and nothing says which one is "
            "white; convert it to 8 or 16 bits"
        )
    black, white = window[::-1] if is_white_zero(image) else window
    share = (np.nan_to_num(grey.astype(np.float64), nan=window.black) - black) / (white - black)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def is_white_zero(image: Image.Image) -> bool:
    """Return whether an image says that zero is white, and Pillow has not heeded that."""
    tags: Any = getattr(image, "tag_v2", None)
    return (
        image.format == "TIFF"
        and tags is not None
        and _is_grey_and_deep(image)
        and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    )
