"""DICOM files as a machine writes them."""

import io
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

RAMP = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) * 21  # 0 to 4011


def dicom(pixels: np.ndarray = RAMP, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> bytes:
    """Write a file as a machine would: 12 bits of grey, and whose picture it is."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    colours = pixels.ndim == 3
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 3 if colours else 1
    made.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    made.BitsAllocated = pixels.dtype.itemsize * 8
    made.BitsStored = 12 if pixels.dtype == np.uint16 else made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    if colours:
        made.PlanarConfiguration = 0
    made.PatientName, made.PatientID, made.ViewPosition = "Secret^Patient", "4711", "PA"
    made.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()
