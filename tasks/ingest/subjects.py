"""Where a patient's id may stand that a study does not name: in file names, or in a column."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

import pandas as pd
import pyarrow as pa

from curette.tasks.ingest.listing import Listing, quoted, text

_VIEW = re.compile(r"(.*\d)[ _.-]+(?:[a-z]{0,6}\d{1,4}|[a-z]{1,2}|left|right)", re.IGNORECASE)
"""A name with a number, and what counts or names the picture: `00000011_002`, `10_left`."""
_WHO = {
    *("patient", "subject", "person", "participant", "individual", "mrn", "pid", "patientid"),
    *("subjectid", "personid", "caseid", "pat", "patid"),
    *("patienten", "patientenid", "patientennummer", "paciente", "paziente"),
}
_PERSON = re.compile(
    r"(?<![a-z])(?:(?:patient|person|subject|participant|pat|paciente|paziente)[ _.-]?(?:id)?"
    r"[ _.-]?|sub-)\d+",
    re.IGNORECASE,
)
"""A word for a patient and a number, anywhere in a path: `person1_bacteria_2`, `patient00001/a`."""
_DAY = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*")
_LEAST, _LARGEST, _SHARED = 5, 0.2, 0.5


def unnamed_subject(listing: Listing, images: pd.DataFrame) -> str:
    """Return what looks like a patient's id and stands in two splits; nothing where nothing does.

    Args:
        listing: the rows, no subject among their columns.
        images: the rows that are images: their `row`, `label` and `split`.
    """
    if (found := likely_subject(listing, images)) is None:
        return ""
    where, example, count = found
    return (
        f"No subject column is given, but {where} look like ids of patients, such as "
        f"{quoted(example)}: {count:,} of them stand in two splits or more."
    )


def likely_subject(listing: Listing, images: pd.DataFrame) -> tuple[str, str, int] | None:
    """Return where patients' ids seem to stand, one in two splits, and how many are; or None.

    Args:
        listing: the rows.
        images: the rows that are images: their `row`, `label` and `split`.
    """
    rows = images["row"].to_numpy()
    for where, values, hinted in _candidates(listing, rows.tolist()):
        if (parted := _parted(values, images, hinted=hinted)) is not None:
            return (where, *parted)
    return None


def is_called_subject(name: str) -> bool:
    """Return whether a column's name says that it holds patients' ids."""
    return bool({*re.findall(r"[a-z]+", name.lower()), _joined(name)} & _WHO)


def _candidates(
    listing: Listing, rows: Sequence[int]
) -> Iterator[tuple[str, list[str | None], bool]]:
    """Yield what could be a patient's id, where it stands, and whether its name says so."""
    free = [name for name in listing.table.column_names if name not in listing.columns.names]
    for name in free:
        hinted = is_called_subject(name)
        kind = listing.table.schema.field(name).type
        readable = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if readable or (hinted and pa.types.is_integer(kind)):
            values = text(listing.table.select([name]).take(pa.array(rows)), name)
            yield f"values of the column {quoted(name)}", values, hinted
    names = [listing.names[row] for row in rows]
    views = (_VIEW.fullmatch(posixpath.basename(name)) for name in names)
    yield "the beginnings of file names", [view and view[1] for view in views], False
    persons = (_PERSON.search(name) for name in names)
    yield "parts of files' paths", [who and who[0].lower() for who in persons], True
    yield "the folders of files", [posixpath.dirname(name) or None for name in names], False


def _joined(name: str) -> str:
    return "".join(re.findall(r"[a-z]+", name.lower()))


def _parted(
    values: Sequence[str | None], images: pd.DataFrame, *, hinted: bool
) -> tuple[str, int] | None:
    """Return an example of ids in two splits, and how many; None where they look like no ids.

    Ids are many, each of few of the images, most of more than one, and hold a digit.
    """
    columns = {"value": list(values), "split": images["split"].tolist()}
    table = pd.DataFrame(columns, dtype=object).dropna()
    if not len(table):
        return None
    sizes = table["value"].value_counts()
    shared = int(sizes[sizes > 1].sum())
    if len(sizes) < _LEAST or sizes.max() > max(_LARGEST * len(images), 2):
        return None
    if not hinted and (
        shared < _SHARED * len(images)
        or len(sizes) < 0.1 * len(images) ** 0.9
        or not sizes.index.str.contains(r"\d").mean() > _SHARED
        or sizes.index.str.fullmatch(_DAY).mean() > _SHARED
    ):
        return None
    splits = table.groupby("value", sort=True)["split"].nunique()
    parted = splits.index[splits > 1]
    return (str(parted[0]), len(parted)) if len(parted) else None
