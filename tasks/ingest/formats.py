"""What bytes are that are no picture, told by their first ones, and what to do about them."""

from __future__ import annotations

import re
import zlib

from curette.tasks.ingest.listing import printable

HEAD_BYTES = 4096
_LONGEST_PATH = 1024
_EXPORT = "export the slices that show what matters as PNG, in the window they are read in"
_HEIF = "convert it to JPEG or PNG, since it needs a decoder that is not part of this program"
_FRAME = "export the frame that is meant as PNG"
_FETCH = "is not the image, which was never fetched"
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), "a HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "an AVIF"),
}
_ARCHIVE = "it is an archive: unpack it"
_ENDINGS: tuple[tuple[str, str], ...] = (
    *((ending, f"a NIfTI volume: {_EXPORT}") for ending in (".nii", ".nii.gz")),
    *((ending, f"a volume: {_EXPORT}") for ending in (".nrrd", ".mha", ".mhd", ".mgz", ".img.gz")),
    *((ending, f"a HEIC image: {_HEIF}") for ending in (".heic", ".heif")),
    *(
        (ending, "a slide of many sizes: export the part that shows what matters as PNG")
        for ending in (".svs", ".ndpi", ".mrxs", ".scn", ".czi", ".vsi")
    ),
    *((ending, "an array: use an `npz` source, or write it as PNG") for ending in (".npy", ".mat")),
)
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".filepart", ".aria2")
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer", f"it {_FETCH}: run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer", f"it {_FETCH}: run `git annex get`"),
    (b"%PDF", "a PDF", "export its pictures as PNG"),
    (b"8BPS", "a Photoshop document", "export it as PNG"),
    (b"\x93NUMPY", "a numpy array", "use an `npz` source, or write it as PNG"),
    (b"\x89HDF\r\n", "an HDF5 file", "write its pictures as PNG"),
    (b"MATLAB 5.0 MAT", "a MATLAB file", "write its pictures as PNG"),
    (b"NRRD", "an NRRD volume", _EXPORT),
    (b"ObjectType", "a MetaImage volume", _EXPORT),
    (b"NDims", "a MetaImage volume", _EXPORT),
    (b"%!PS", "a PostScript document", "export it as PNG"),
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"Rar!", "a rar archive", "unpack it"),
    (b"\x1aE\xdf\xa3", "a video", _FRAME),
    (b"\xff\x0a", "a JPEG XL image", _HEIF),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image", _HEIF),
)


def told_format(head: bytes, name: str = "") -> str | None:
    """Return what a file is that is no picture, and the remedy; `None` where that is not known.

    Args:
        head: its first `HEAD_BYTES` or fewer.
        name: its name, which decides where the bytes do not.
    """
    if name.lower().endswith(_UNFINISHED):
        return "it is a download that did not end: fetch it again"
    by_bytes = _told_bytes(head)
    by_name = (f"it is {what}" for ending, what in _ENDINGS if name.lower().endswith(ending))
    return next(by_name, by_bytes) if by_bytes in (None, _ARCHIVE) else by_bytes


def _told_bytes(head: bytes) -> str | None:
    for start, what, remedy in _STARTS:
        if head.startswith(start):
            return f"it is {what}: {remedy}"
    if head[:4] in (b"\x08\x00\x05\x00", b"\x08\x00\x08\x00"):
        return "it is a DICOM file without its first 132 bytes: write it anew, as with `dcmconv`"
    if _is_nifti(head) or _is_nifti(_unpacked(head)):
        return f"it is a NIfTI volume: {_EXPORT}"
    if head[4:8] == b"ftyp" and head[8:12] in _BRANDS:
        return f"it is {_BRANDS[head[8:12]]} image: {_HEIF}"
    if head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return f"it is a video: {_FRAME}"
    return _ARCHIVE if head[:2] == b"\x1f\x8b" else _told_text(head)


def _told_text(head: bytes) -> str | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if re.match(rb"<!doctype html|<html|<head|<body", start):
        return (
            "it is a web page: the download failed or needed a login, and this is what it said; "
            "download the image again"
        )
    if b"<svg" in start:
        return "it is an SVG drawing: export it as PNG"
    if start.startswith(b"<?xml"):
        return "it is an XML file, such as an annotation or an error of a server"
    if re.match(rb'[{\[]\s*["{\[\d]', start):
        return "it is a JSON file, such as an annotation or an error of a server"
    if len(head) < _LONGEST_PATH and re.fullmatch(rb"[^\s\0<>|*?]*/[^\r\n\0<>|*?]*", head):
        path = head.decode("utf-8", "backslashreplace")
        return (
            f"it is a text of the path `{printable(path)}`, as a link becomes where a copy or git "
            "knows none: copy the data again with its links, or what they lead to"
        )
    return None


def _unpacked(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 600)  # 31: with a header of gzip
    except zlib.error:
        return b""


def _is_nifti(head: bytes) -> bool:
    """Return whether a header is of NIfTI-1 (348 bytes) or NIfTI-2 (540 bytes)."""
    first = head[344:348] in (b"n+1\0", b"ni1\0")
    return first or head[4:8] in (b"n+2\0", b"ni2\0")
