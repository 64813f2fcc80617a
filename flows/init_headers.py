"""What the headers of DICOM files say of whose images they are; no value of one is ever quoted."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.dicom_columns import Watch, bytes_of, with_headers
from curette.tasks.ingest.label_columns import read_labels
from curette.tasks.ingest.listing import Listing, text
from curette.tasks.methods.encoder.dicom import is_dicom

_WHOSE: Final = {
    "PatientID": "a patient",
    "StudyInstanceUID": "an examination",
    "SeriesInstanceUID": "a series",
}
"""Keyword -> what has one value of it, the best first."""
_DESCRIBED: Final = (
    *("Modality", "BodyPartExamined", "ViewPosition", "ImageLaterality", "Laterality"),
    *("PatientSex", "PatientAge", "Manufacturer", "ManufacturerModelName", "InstitutionName"),
)
_BURNT_IN: Final = "BurnedInAnnotation"
_LOOKED_AT: Final = 50
"""Images that are looked at for a header."""
_FILLED: Final = 0.9
"""Share of the images whose header must say whose they are."""


@dataclass(frozen=True)
class Headers:
    """A dataset with what its headers give it, and what is doubtful of that."""

    spec: DatasetSpec
    listing: Listing
    described: pa.Table
    """Columns that say something of the images, before anybody looked whether of a person too."""
    doubts: tuple[str, ...]


def look_at_headers(listing: Listing, spec: DatasetSpec, watch: Watch) -> Headers | None:
    """Return a dataset of DICOM files with a subject from their headers; None of any other.

    Args:
        listing: the images.
        spec: the settings found so far; a subject column of a table goes before the headers.
        watch: told how many headers were read.

    Raises:
        StudyError: what should be classes are patients.
    """
    few = np.unique(np.linspace(0, len(listing) - 1, _LOOKED_AT).astype(int))
    if not any(is_dicom(bytes_of(content)) for content in listing.contents(few)):
        return None
    wanted = (*_WHOSE, *_DESCRIBED, _BURNT_IN)
    keywords = tuple(k for k in wanted if k not in listing.table.column_names)
    read = with_headers(listing, spec.model_copy(update={"dicom_columns": keywords}), watch).table
    values = {keyword: text(read, keyword, missing=()) for keyword in keywords}
    described = [k for k in _DESCRIBED if len({*values.get(k, ())} - {None}) > 1]
    doubts = list(_burnt_in(values.get(_BURNT_IN, [])))
    if spec.subject_column is None:
        subject, said = _subject(values)
        doubts += said
        if subject:
            _refuse_patients_as_classes(listing, subject, values[subject])
            spec = spec.model_copy(update={"subject_column": subject, "dicom_columns": (subject,)})
            listing = replace(
                listing,
                table=listing.table.append_column(subject, read[subject]),
                columns=replace(listing.columns, subject=subject),
            )
    return Headers(spec, listing, read.select(described), tuple(doubts))


def _subject(values: Mapping[str, Sequence[str | None]]) -> tuple[str | None, list[str]]:
    """Return the keyword that tells patients apart best, and what is doubtful of it."""
    doubts: list[str] = []
    for keyword, whose in _WHOSE.items():
        known = [value for value in values.get(keyword, ()) if value]
        images, different = len(values.get(keyword, ())), len({*known})
        if not known:
            doubts.append(f"no header has a {keyword}.")
        elif different == 1:
            doubts.append(f"{keyword} is the same in all headers, as where it was made anonymous.")
        elif len(known) < _FILLED * images:
            doubts.append(f"{images - len(known):,} of {images:,} images have no {keyword}.")
        elif different == images and keyword != "PatientID":
            doubts.append(f"{keyword} is another in each header.")
        else:
            if keyword != "PatientID":
                doubts.append(
                    f"{keyword} stands for a patient: whoever has {whose} more than once may "
                    "stand in two splits. A table that says whose each image is tells better."
                )
            elif different == images:
                doubts.append(
                    "PatientID is another in each header: look whether every patient has but one "
                    "image, or each file was made anonymous by itself."
                )
            if empty := images - len(known):
                doubts.append(
                    f"{empty:,} images have no {keyword}: each counts as of a patient of its own."
                )
            return keyword, doubts
    return None, doubts


def _burnt_in(values: Sequence[str | None]) -> Iterator[str]:
    if count := sum(value == "YES" for value in values):
        yield (
            f"{count:,} images have something burnt into their pixels, as their headers say "
            f"({_BURNT_IN}): look whether it names a patient. It stays there."
        )


def _refuse_patients_as_classes(
    listing: Listing, subject: str, whose: Sequence[str | None]
) -> None:
    """Refuse folders of patients, whose names would stand in the study as those of classes."""
    patients, labels = defaultdict(set), defaultdict(set)
    for label, patient in zip(read_labels(listing), whose, strict=True):
        if label and patient:
            patients[label].add(patient)
            labels[patient].add(label)
    if all(len(found) == 1 for found in (*patients.values(), *labels.values())):
        raise StudyError(
            f"{listing.source} has no classes: each of its {len(patients):,} folders holds one "
            f"{subject} alone. Write a table with a row for each file, its path and its class, and "
            "run `curette init` on that."
        )
