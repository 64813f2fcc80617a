"""DICOM files as a viewer shows them: pixels of 8 bits, and no header but the values asked for.

Grey values go through the modality's table or rescaling, then through what the file says of their
display (DICOM PS3.3, C.11.1 and C.11.2): a table (VOI LUT) or its first window. MONOCHROME1 means
that the lowest value is white. What is burnt into the pixels, such as a name, stays there.
"""

import io
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image

from curette.schemas.artifact import StudyError
from curette.schemas.images import RejectionReason
from curette.tasks.methods.encoder.pixels import Window

_PREAMBLE = 128
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_NEARLY_BLACK = 1 / 16
_BULK = 99.5
_NO_TEXT = ("SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN")


class DicomRefused(ValueError):
    """Why a DICOM file is no image of a dataset; never with a value of its header."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: RejectionReason = reason


def is_dicom(head: bytes) -> bool:
    """Return whether a file is a DICOM file, as its first 132 bytes tell."""
    return head[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def dicom_png(content: bytes, max_pixels: int, window: Window | None = None) -> bytes:
    """Return a DICOM file's picture as a PNG of 8 bits a channel, without anything of its header.

    Args:
        content: the file.
        max_pixels: a larger picture is refused before it is decoded.
        window: the values that are black and white instead of those that the file names, after
            rescaling: in CT these are Hounsfield units.

    Raises:
        DicomRefused: it holds no picture or several, one that nothing here can unpack, or values
            of which nothing says which is white.
    """
    try:
        pixels = _pixels(content, max_pixels, window)
    except DicomRefused:
        raise
    except Exception as error:  # pydicom's own words may hold values of the header
        raise DicomRefused(
            "broken-image", f"it is a damaged DICOM file ({type(error).__name__})"
        ) from None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def dicom_values(content: bytes, keywords: Sequence[str]) -> dict[str, str | None]:
    """Return the values of some keywords as text, several joined by a backslash; None if absent.

    A file that cannot be read has none: whoever reads its picture says what is wrong.
    """
    import pydicom

    try:
        header = pydicom.dcmread(
            io.BytesIO(content), stop_before_pixels=True, specific_tags=list(keywords)
        )
        return {keyword: _text(header.get(keyword)) for keyword in keywords}
    except Exception:
        return dict.fromkeys(keywords)


def check_keywords(keywords: Sequence[str]) -> None:
    """Refuse what is no keyword of the standard, or names what is no text.

    Raises:
        StudyError: naming the keywords that are most like it.
    """
    from difflib import get_close_matches

    from pydicom.datadict import DicomDictionary, dictionary_VR, tag_for_keyword

    for keyword in keywords:
        if (tag := tag_for_keyword(keyword)) is None:
            known = [entry[4] for entry in DicomDictionary.values()]
            like = ", ".join(get_close_matches(keyword, known, n=3))
            raise StudyError(
                f"dataset.dicom_columns: `{keyword}` is no keyword of DICOM"
                + (f"; did you mean {like}?" if like else ".")
            )
        if any(kind in dictionary_VR(tag) for kind in _NO_TEXT):
            raise StudyError(
                f"dataset.dicom_columns: `{keyword}` holds no text or number, so it is no column."
            )


def _text(value: Any) -> str | None:
    from pydicom.multival import MultiValue

    if value is None or value == "":
        return None
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)


def _pixels(
    content: bytes, max_pixels: int, window: Window | None
) -> Shaped[np.ndarray, "height width ..."]:
    import pydicom
    from pydicom.pixels import apply_color_lut, pixel_array
    from pydicom.uid import UID

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it tells values of headers
    if _DEFLATED in content[:1024]:
        raise DicomRefused(
            "broken-image", "it is a deflated DICOM file: inflate it, as with `dcmconv +te`"
        )
    dataset = pydicom.dcmread(io.BytesIO(content))
    _check_picture(dataset, max_pixels)
    _check_syntax(UID(dataset.file_meta.TransferSyntaxUID))
    pixels = pixel_array(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 3:
        return _of_colours(pixels)
    if pixels.ndim != 2:
        raise DicomRefused("broken-image", "its pixels are no picture")
    shade = _shades(pixels, dataset, window)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shade = 1 - shade
    return np.rint(np.clip(shade, 0, 1) * 255).astype(np.uint8)


def _check_picture(dataset: Any, max_pixels: int) -> None:
    if "PixelData" not in dataset or not dataset.get("Rows") or not dataset.get("Columns"):
        kind = dataset.file_meta.get("MediaStorageSOPClassUID")
        named = f" ({kind.name})" if kind is not None and kind.name != kind else ""
        raise DicomRefused("broken-image", f"it is a DICOM file without a picture{named}")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise DicomRefused(
            "several-pages",
            f"it is a DICOM file of {frames} frames, and nothing says which is the picture: export "
            "the frame that is meant",
        )
    height, width = int(dataset.Rows), int(dataset.Columns)
    if height * width > max_pixels:
        raise DicomRefused(
            "too-many-pixels",
            f"it says it is {width} x {height} pixels; dataset.max_pixels is {max_pixels}",
        )
    if dataset.PhotometricInterpretation not in _KNOWN:
        raise DicomRefused("broken-image", "its colours are of a kind that is not known here")


_KNOWN = (
    *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"),
    *("YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"),
)


def _check_syntax(syntax: Any) -> None:
    from pydicom.pixels import get_decoder

    try:
        known = not syntax.is_compressed or get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known:
        raise DicomRefused(
            "broken-image",
            f"it is a DICOM file compressed as {syntax.name}, which nothing here can unpack: "
            "install a package for that, such as `python-gdcm` or `pylibjpeg` with its plug-in, or "
            "convert the files, as with `dcmdjpeg` or `gdcmconv --raw`",
        )


def _of_colours(pixels: Shaped[np.ndarray, "height width 3"]) -> Shaped[np.ndarray, "..."]:
    if pixels.shape[2] != 3:
        raise DicomRefused("broken-image", "its colours are of a kind that is not known here")
    if pixels.dtype != np.uint8:
        raise DicomRefused("broken-image", "its colours have more than 8 bits each")
    return np.ascontiguousarray(pixels)


def _shades(
    pixels: Shaped[np.ndarray, "height width"], dataset: Any, window: Window | None
) -> Float[np.ndarray, "height width"]:
    """Return grey values from 0 to 1, the highest being 1."""
    from pydicom.pixels import apply_modality_lut, apply_voi

    values = np.asarray(apply_modality_lut(pixels, dataset))
    if window is not None:
        return (values.astype(float) - window.black) / (window.white - window.black)
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        shown = apply_voi(values, dataset)
        return np.asarray(shown, dtype=float) / ((1 << bits) - 1)
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        centre, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
        return windowed(values, centre, width, str(dataset.get("VOILUTFunction") or "LINEAR"))
    stored = int(dataset.BitsStored)
    rescaled = "RescaleSlope" in dataset or "ModalityLUTSequence" in dataset
    low, high = float(values.min()), float(values.max())
    if int(dataset.PixelRepresentation) or (rescaled and (low < 0 or high >= 1 << stored)):
        raise _unclear("it names no window", low, high)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    white = float((1 << stored) - 1)
    bulk = np.percentile(white - values if inverted else values, _BULK)
    if bulk / white < _NEARLY_BLACK:
        raise _unclear(
            f"it names no window and would be nearly black with {stored} bits", low, high
        )
    return values.astype(float) / white


def _unclear(why: str, low: float, high: float) -> DicomRefused:
    return DicomRefused(
        "unclear-range",
        f"{why}: its values lie between {low:,.6g} and {high:,.6g}, and nothing says which is "
        f"white. Say so under `dataset.grey_range`, such as [{low:g}, {high:g}]",
    )


def _first(value: Any) -> float:
    from pydicom.multival import MultiValue

    return float(value[0] if isinstance(value, MultiValue) else value)


def windowed(
    values: Shaped[np.ndarray, "..."], centre: float, width: float, function: str
) -> Float[np.ndarray, "..."]:
    """Return values from 0 to 1 as a window shows them (DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3).

    Raises:
        DicomRefused: the window is empty.
    """
    least = 1 if function == "LINEAR" else 0
    if width < least or (width == 0 and not least):
        raise DicomRefused("unclear-range", "its window has no width")
    x = values.astype(float)
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (x - centre) / width))
    if function == "LINEAR_EXACT":
        return np.clip((x - centre) / width + 0.5, 0, 1)
    if width == 1:
        return (x > centre - 0.5).astype(float)
    return np.clip((x - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
