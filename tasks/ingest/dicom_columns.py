"""Columns from the headers of DICOM files: those that the study names, and no other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pyarrow as pa

from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.listing import Columns, Content, ImageBytes, ImageFile, Listing, quoted
from curette.tasks.methods.encoder.dicom import check_keywords, dicom_values

_AHEAD = 256
_ROLES = ("id_column", "subject_column", "lesion_column", "split_column")
Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


def without_headers(spec: DatasetSpec) -> DatasetSpec:
    """Return the settings of a source's own columns, without those from headers.

    Raises:
        StudyError: a keyword is none, or the label would come from a header.
    """
    check_keywords(spec.dicom_columns)
    if spec.label_column in spec.dicom_columns:
        raise StudyError(
            "dataset.label_column is among `dicom_columns`: write the labels into a table, since a "
            "header does not say what an image is to be called."
        )
    theirs = {role: None for role in _ROLES if getattr(spec, role) in spec.dicom_columns}
    metadata = tuple(name for name in spec.metadata if name not in spec.dicom_columns)
    return spec.model_copy(update={**theirs, "metadata": metadata})


def with_headers(listing: Listing, spec: DatasetSpec, watch: Watch) -> Listing:
    """Return a listing with a column for each keyword, read from every image that has a header.

    Raises:
        StudyError: the source has a column of that name already.
    """
    keywords = spec.dicom_columns
    if taken := [name for name in keywords if name in listing.table.column_names]:
        raise StudyError(
            f"{listing.source} has a column {', '.join(map(quoted, taken))} already; leave it out "
            "of `dataset.dicom_columns`."
        )
    rows: list[dict[str, str | None]] = []
    with watch("reading DICOM headers", len(listing)) as advance, ThreadPoolExecutor(4) as pool:
        for start in range(0, len(listing), _AHEAD):
            wanted = np.arange(start, min(start + _AHEAD, len(listing)))
            rows += pool.map(
                lambda c: dicom_values(bytes_of(c), keywords), listing.contents(wanted)
            )
            advance(len(wanted))
    table = listing.table
    for keyword in keywords:
        table = table.append_column(keyword, pa.array([row[keyword] for row in rows], pa.string()))
    columns = Columns.named_by(spec)
    kept = tuple(dict.fromkeys((*columns.metadata, *keywords)))
    return replace(listing, table=table, columns=replace(columns, metadata=kept))


def bytes_of(content: Content) -> bytes:
    """Return what can be read of an image; whoever checks images says what is wrong."""
    try:
        match content:
            case ImageBytes():
                return content.load()
            case ImageFile() if content.path.is_file():  # a pipe would be waited for without end
                return content.path.read_bytes()
    except (OSError, ValueError, RuntimeError):
        pass
    return b""
