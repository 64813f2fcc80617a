"""A DICOM file becomes what a viewer shows, and nothing of its header comes along."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
)

from curette.schemas.artifact import StudyError
from curette.tasks.methods.encoder.dicom import (
    DicomRefused,
    check_keywords,
    dicom_png,
    dicom_values,
    is_dicom,
)
from curette.tasks.methods.encoder.pixels import Window
from tests.builders.dicom import RAMP, dicom


def shown(content: bytes, window: Window | None = None) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(dicom_png(content, 10_000, window))), dtype=int)


def refused(content: bytes, window: Window | None = None) -> tuple[str, str]:
    with pytest.raises(DicomRefused) as caught:
        dicom_png(content, 10_000, window)
    return caught.value.reason, str(caught.value)


# --- shades -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("centre", "width", "function"),
    [(2000, 1500, None), (500, 1, None), (2000.5, 900, "LINEAR_EXACT"), (1800, 700, "SIGMOID")],
)
def test_a_window_shows_what_pydicom_shows(centre: float, width: float, function: Any) -> None:
    tags: dict[str, Any] = {"WindowCenter": centre, "WindowWidth": width}
    tags |= {"VOILUTFunction": function} if function else {}
    about = Dataset()
    about.PhotometricInterpretation, about.BitsStored, about.PixelRepresentation = (
        "MONOCHROME2",
        12,
        0,
    )
    for name, value in tags.items():
        setattr(about, name, value)
    expected = apply_windowing(RAMP, about) / 4095 * 255
    assert np.abs(shown(dicom(**tags)) - expected).max() <= 0.5 + 1e-6


def test_values_are_rescaled_before_they_are_windowed() -> None:
    """In Hounsfield units: -160 is black, 240 white, and 40 in the middle, worked out by hand."""
    units = np.array([[-1000, -160, 40, 240, 3000]] * 4)
    content = dicom(
        (units + 1024).astype(np.uint16),
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=[40, 300],
        WindowWidth=[400, 1500],
    )
    assert shown(content)[0].tolist() == [0, 0, 128, 255, 255], "by the first of two windows"
    assert shown(content, Window(-1000, 1000))[0].tolist() == [0, 107, 133, 158, 255]


def test_a_table_goes_before_a_window() -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 100, 16]
    table.LUTData = (np.array([0, 50, 200, 255], np.uint16) * 257).tobytes()
    pixels = np.array([[0, 100, 101, 102, 103, 4000]] * 4, dtype=np.uint16)
    content = dicom(pixels, VOILUTSequence=Sequence([table]), WindowCenter=9, WindowWidth=9)
    assert shown(content)[0].tolist() == [0, 0, 50, 200, 255, 255]


def test_in_monochrome_1_the_lowest_value_is_white() -> None:
    plain = shown(dicom(WindowCenter=2000, WindowWidth=3000))
    turned = shown(
        dicom(WindowCenter=2000, WindowWidth=3000, PhotometricInterpretation="MONOCHROME1")
    )
    assert np.abs(plain + turned - 255).max() <= 1
    assert turned[0, 0] == 255


def test_without_a_window_white_is_the_largest_number_of_the_bits_stored() -> None:
    np.testing.assert_array_equal(shown(dicom()), np.rint(RAMP / 4095 * 255))


@pytest.mark.parametrize(
    ("pixels", "tags"),
    [
        ((RAMP.astype(np.int16) - 1024), {}),
        (RAMP, {"RescaleSlope": 1, "RescaleIntercept": -1024}),
        (RAMP // 40, {}),
    ],
)
def test_values_of_which_nothing_says_which_is_white_are_refused(
    pixels: np.ndarray, tags: dict[str, Any]
) -> None:
    reason, said = refused(dicom(pixels, **tags))
    assert (reason, "dataset.grey_range" in said) == ("unclear-range", True)
    assert shown(dicom(pixels, **tags), Window(-1024, 4096)).shape == (12, 16)


# --- colours and syntaxes -----------------------------------------------------------------------


def test_colours_stay_what_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(shown(dicom(pixels)), pixels)


def test_a_palette_is_looked_up() -> None:
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for i, colour in enumerate(("Red", "Green", "Blue")):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        shades = np.roll(np.array([0, 85, 170, 255], np.uint16) * 257, i)
        tags[f"{colour}PaletteColorLookupTableData"] = shades.tobytes()
    indices = np.array([[0, 1, 2, 3]] * 4, dtype=np.uint8)
    assert shown(dicom(indices, **tags))[0].tolist() == [
        [0, 255, 170],
        [85, 0, 255],
        [170, 85, 0],
        [255, 170, 85],
    ]


def test_a_jpeg_inside_is_what_pillow_shows_of_it() -> None:
    pixels = (RAMP // 16).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    inside = np.asarray(Image.open(io.BytesIO(file.getvalue())), dtype=int)
    content = dicom(pixels, JPEGBaseline8Bit, PixelData=encapsulate([file.getvalue()]))
    np.testing.assert_array_equal(shown(content), inside)


def test_a_syntax_that_nothing_here_unpacks_is_named() -> None:
    reason, said = refused(dicom(syntax=JPEGLosslessSV1, PixelData=encapsulate([b"\xff\xd8"])))
    assert reason == "broken-image"
    assert "JPEG Lossless" in said
    assert "python-gdcm" in said


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "reason", "said"),
    [
        ({"NumberOfFrames": 7}, "several-pages", "7 frames"),
        ({"Rows": 60_000, "Columns": 60_000}, "too-many-pixels", "60000 x 60000"),
        ({"PixelData": b"\0" * 10}, "broken-image", "damaged"),
        ({"PhotometricInterpretation": "CMYK"}, "broken-image", "colours"),
        ({"WindowCenter": 5, "WindowWidth": 0}, "unclear-range", "no width"),
    ],
)
def test_what_is_no_single_picture_is_refused(tags: dict[str, Any], reason: str, said: str) -> None:
    found = refused(dicom(**tags))
    assert found[0] == reason
    assert said in found[1]


def test_a_deflated_file_is_not_inflated() -> None:
    assert "inflate it" in refused(dicom(syntax=DeflatedExplicitVRLittleEndian))[1]


def test_a_truncated_file_is_refused_and_its_header_is_not_told() -> None:
    content = dicom()
    for length in range(140, len(content) - 1, 61):
        assert "Secret" not in refused(content[:length])[1]


# --- headers ------------------------------------------------------------------------------------


def test_nothing_of_the_header_is_in_the_picture() -> None:
    png = dicom_png(dicom(), 10_000)
    assert is_dicom(dicom())
    assert not is_dicom(png)
    assert not Image.open(io.BytesIO(png)).info
    assert b"Secret" not in png


def test_values_of_headers_are_those_that_are_asked_for() -> None:
    content = dicom(ImageType=["ORIGINAL", "PRIMARY"])
    wanted = ("ViewPosition", "ImageType", "PatientSex")
    assert dicom_values(content, wanted) == {
        "ViewPosition": "PA",
        "ImageType": "ORIGINAL\\PRIMARY",
        "PatientSex": None,
    }
    assert dicom_values(b"no DICOM", wanted) == dict.fromkeys(wanted)


@pytest.mark.parametrize(
    ("keyword", "said"),
    [("PatientsID", "did you mean PatientID"), ("PixelData", "no text"), ("VOILUTSequence", "no")],
)
def test_what_is_no_keyword_of_a_text_is_refused(keyword: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        check_keywords([keyword])
