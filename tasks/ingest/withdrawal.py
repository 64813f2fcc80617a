"""Images that were withdrawn: they leave a listing before anything is made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from curette.schemas.images import Split
from curette.schemas.settings.ingest import DatasetSpec, SyntheticSource
from curette.schemas.withdrawals import Withdrawn
from curette.tasks.ingest.claims import named_like_masks, read_claims
from curette.tasks.ingest.formats import HEAD_BYTES
from curette.tasks.ingest.label_columns import class_keys, read_labels
from curette.tasks.ingest.listing import (
    Content,
    ImageBytes,
    ImageFile,
    Listing,
    VectorOnly,
    text,
)
from curette.tasks.ingest.readers import Watch, list_images
from curette.tasks.methods.encoder.dicom import dicom_png, is_dicom
from curette.tasks.methods.encoder.pixels import Window

_AHEAD = 64
Pseudonym = Callable[[str, str], str]
"""From what a thing is and its id to what it is called."""


@dataclass(frozen=True)
class Withdrawal:
    """What is left out of a dataset, and the splits that all other images keep."""

    withdrawn: Withdrawn
    pseudonym: Pseudonym
    splits: Mapping[str, Split]
    """sha256 of an image's bytes -> where it was when others were withdrawn."""

    def spec(self, spec: DatasetSpec) -> DatasetSpec:
        """Return a dataset's settings as they would be without the classes that are gone."""
        gone = self.withdrawn.classes
        kept = {key: c for key, c in spec.classes.items() if key not in gone}
        labels = {label: key for label, key in spec.labels.items() if key not in gone}
        columns = tuple(c for c in spec.label_columns if spec.labels.get(c, c) not in gone)
        left = {"classes": kept, "labels": labels, "label_columns": columns}
        return spec.model_copy(update=left) if gone else spec

    def leave_out(
        self, listing: Listing, spec: DatasetSpec, workers: int
    ) -> tuple[Listing, dict[int, Split]]:
        """Return a listing as if it had never had what was withdrawn, and the splits of its rows.

        Rows that are named like a mask of an image go with it. The bytes of all images are read
        once more: which ones were withdrawn must be known before anything else is.

        Args:
            listing: all that the source holds.
            spec: the dataset's settings, with every class.
            workers: threads that read.
        """
        found = image_digests(listing, spec, workers)
        gone = {
            row
            for row, sha256 in enumerate(found)
            if sha256 and image_name(sha256, self.pseudonym) in self._images
        }
        if listing.columns.subject and self.withdrawn.subjects:
            subjects = text(listing.table, listing.columns.subject)
            names = {s: subject_name(s, spec, self.pseudonym) for s in {*subjects} - {None} if s}
            left = {s for s, name in names.items() if name in self.withdrawn.subjects}
            gone |= {row for row, subject in enumerate(subjects) if subject in left}
        if self.withdrawn.classes:
            keys = class_keys(read_labels(listing), spec)
            gone |= {row for row, key in enumerate(keys) if key in self.withdrawn.classes}
        withdrawn = {listing.names[row].casefold() for row in gone}
        masks = named_like_masks(listing.names).items()
        gone |= {row for row, owner in masks if owner.casefold() in withdrawn}
        kept = np.array([row for row in range(len(listing)) if row not in gone], dtype=np.int64)
        stay = [self.splits.get(found[row]) for row in kept]
        return listing.only(kept), {row: split for row, split in enumerate(stay) if split}

    @property
    def _images(self) -> frozenset[str]:
        return frozenset(self.withdrawn.images)


def image_name(sha256: str, pseudonym: Pseudonym) -> str:
    """Return what an image is called that was withdrawn."""
    return pseudonym("withdrawn image", sha256)


def subject_name(subject: str, spec: DatasetSpec, pseudonym: Pseudonym) -> str:
    """Return what a subject is called that was withdrawn; another source's subjects are others."""
    return pseudonym("withdrawn subject", f"{subjects_of(spec)}\0{subject}")


def subjects_of(spec: DatasetSpec) -> str:
    """Return what two datasets share where a subject's id means the same person in both."""
    return f"{_source(spec)}\0{spec.subject_column}"


def source_rows(
    spec: DatasetSpec, workshop: Path, watch: Watch, ids: Collection[str], label: str = ""
) -> dict[str, str]:
    """Return the sha256 of the bytes of some rows of a source, by what the data calls them.

    Args:
        spec: the dataset's settings.
        workshop: an empty folder for what is needed meanwhile.
        watch: told how far the drawing of images is.
        ids: which rows.
        label: all rows of this class instead.
    """
    listing = list_images(spec, workshop, watch)
    claims = read_claims(listing, spec)
    wanted = claims["label"] == label if label else claims["image_id"].isin(list(ids))
    rows = claims["row"][wanted & claims["image_id"].notna()].to_numpy(dtype=np.int64)
    digests = (_sha256(c, spec) for c in listing.contents(rows))
    return dict(zip(claims["image_id"].iloc[rows], digests, strict=True))


def _source(spec: DatasetSpec) -> str:
    if isinstance(spec.source, SyntheticSource):
        return spec.source.model_dump_json()
    return f"{spec.source.kind} {spec.source.path}"


def image_digests(listing: Listing, spec: DatasetSpec, workers: int) -> list[str]:
    """Return the sha256 of every row's bytes; empty where there are none to read.

    Of a DICOM file it is that of its picture, by which a dataset knows it.
    """
    found: list[str] = []
    ahead = listing.contents(np.arange(len(listing)))
    digest = partial(_sha256, spec=spec)
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        while batch := list(islice(ahead, _AHEAD * max(workers, 1))):
            found += pool.map(digest, batch)
    return found


def _sha256(content: Content, spec: DatasetSpec) -> str:
    with suppress(OSError, ValueError, RuntimeError):  # whoever checks images says what is wrong
        match content:
            case VectorOnly():
                return content.sha256
            case ImageBytes():
                return hashlib.sha256(_picture(content.load(), spec)).hexdigest()
            case ImageFile() if content.path.is_file():  # a pipe would be waited for without end
                with content.path.open("rb") as file:
                    if is_dicom(file.read(HEAD_BYTES)):
                        picture = _picture(content.path.read_bytes(), spec)
                        return hashlib.sha256(picture).hexdigest()
                    file.seek(0)
                    return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


def _picture(content: bytes, spec: DatasetSpec) -> bytes:
    window = spec.grey_range and Window(*spec.grey_range)
    return dicom_png(content, spec.max_pixels, window) if is_dicom(content) else content
