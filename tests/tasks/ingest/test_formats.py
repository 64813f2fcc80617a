"""What is no picture is called by its name, whatever ending it has, with what to do about it."""

import gzip
import struct

import pytest

from curette.tasks.ingest.formats import told_format

NIFTI = struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(100)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"\x08\x00\x05\x00" + bytes(20), "a DICOM file without its first 132 bytes"),
        (b"\x00\x00\x00\x18ftypheic", "a HEIC image: convert it"),
        (b"\x00\x00\x00\x18ftypavif", "an AVIF image: convert it"),
        (b"\x00\x00\x00\x18ftypisom", "a video: export the frame"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (NIFTI, "a NIfTI volume: export the slices"),
        (gzip.compress(NIFTI, mtime=0), "a NIfTI volume"),
        (struct.pack("<i", 540) + b"n+2\0" + bytes(600), "a NIfTI volume"),
        (gzip.compress(b"whatever", mtime=0), "an archive: unpack it"),
        (b"\n <!DOCTYPE html><html>", "a web page: the download failed"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error>", "an XML file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b'{"message": "Not found"}', "a JSON file"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer.*`git lfs pull`"),
        (b"/annex/objects/SHA256E-s1--ab.png\n", "a git-annex pointer.*`git annex get`"),
        (b"../../blobs/20", "a text of the path `../../blobs/20`, as a link becomes"),
        (b"%PDF-1.7", "a PDF"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ],
)
def test_first_bytes_tell_what_it_is(head: bytes, told: str) -> None:
    import re

    said = told_format(head)
    assert said is not None
    assert re.match(f"it is {told}", said)


def test_names_tell_where_bytes_do_not() -> None:
    assert str(told_format(b"\0\1\2", "x.SVS")).startswith("it is a slide of many sizes")
    assert str(told_format(gzip.compress(b"", mtime=0), "x.nii.gz")).startswith(
        "it is a NIfTI volume"
    )
    assert str(told_format(b"%PDF", "x.dcm")).startswith("it is a PDF")


@pytest.mark.parametrize("head", [b"", b"\0", b"no image at all", b"\xff\xd8\xff\xe0", b"\x1f"])
def test_nothing_is_said_of_what_is_not_known(head: bytes) -> None:
    assert told_format(head) is None
