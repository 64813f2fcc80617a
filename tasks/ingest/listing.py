"""What a source lists before anything was checked: its columns, and how to get at the images."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from curette.schemas.artifact import StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.images import RejectionReason, Split
from curette.schemas.settings.ingest import DatasetSpec

MISSING = frozenset({"NA", "N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"})
"""What tables write where a value is missing, besides nothing at all."""
_BLANK_ENDS = re.compile(r"\A[\s\u200b-\u200f\u2060\ufeff]+|[\s\u200b-\u200f\u2060\ufeff]+\Z")
"""Blanks of every kind, and characters that show nothing."""
_LISTED_COLUMNS = 50
_LONGEST_QUOTE = 200
_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class ImageFile:
    """An image that stays where it is. Nobody has looked yet whether it is below the root.

    `masks` are files of its lesion masks, `allowed` the folders that it may lie below, where that
    is not just the root.
    """

    path: Path
    masks: tuple[Path, ...] = ()
    allowed: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ImageBytes:
    """An image without a file of its own, to be kept on the store's shelf."""

    load: Callable[[], bytes]
    load_mask: Callable[[], bytes] | None = None


@dataclass(frozen=True)
class VectorOnly:
    """An image of which only the vector is known."""

    sha256: str  # of the vector's bytes


@dataclass(frozen=True)
class Refusal:
    """Why a row is no image."""

    reason: RejectionReason
    detail: str


Content = ImageFile | ImageBytes | VectorOnly | Refusal


@dataclass(frozen=True)
class Columns:
    """Which columns of a source mean what."""

    label: str
    image_id: str | None = None
    subject: str | None = None
    lesion: str | None = None
    split: str | None = None
    report: str | None = None
    attributes: Mapping[str, AttributePhrases] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()
    """Columns that are kept as they are, though nothing here reads them."""
    findings: tuple[str, ...] = ()
    """Columns of findings, where these stand for one column of labels."""
    one_of: tuple[str, ...] = ()
    """Columns of classes, of which every row has one, where these do."""

    @classmethod
    def named_by(cls, spec: DatasetSpec) -> Columns:
        """Return the columns that a study names."""
        return cls(
            label=spec.label_column,
            image_id=spec.id_column,
            subject=spec.subject_column,
            lesion=spec.lesion_column,
            split=spec.split_column,
            report=spec.report_column,
            attributes=spec.attributes,
            metadata=spec.metadata,
            findings=spec.finding_columns,
            one_of=spec.label_columns,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns that say what an image shows."""
        return self.findings or self.one_of or (self.label,)

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that has a meaning of its own and is therefore no metadata."""
        single = (self.image_id, self.subject, self.lesion, self.split, self.report)
        return (*self.labels, *(name for name in single if name is not None), *self.attributes)


@dataclass(frozen=True)
class Listing:
    """The rows of a source, each a would-be image.

    `names[i]` is row i's unique default id, `table` its columns as they stand, `parts[i]` the
    split that the source's layout puts it in, where it has splits. `contents(rows)` yields what
    is known of the images of ascending row numbers; it never raises for a single bad image.
    `root` is the folder below which every `ImageFile` must lie, and `class_names` maps labels to
    names, in the source's order of classes.
    """

    table: pa.Table
    names: list[str]
    columns: Columns
    contents: Callable[[Int[np.ndarray, " row"]], Iterator[Content]]
    root: Path
    source: str
    parts: Sequence[str | None] | None = None
    class_names: dict[str, str] = field(default_factory=dict)
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    remedies: Mapping[RejectionReason, str] = field(default_factory=dict)
    """What to do about rejected rows, where that is special to the source."""

    def __post_init__(self) -> None:
        """Refuse a source without rows, or one that lacks a column the study names."""
        if not self.names:
            raise StudyError(f"{self.source} holds no images.")
        require_columns(self.table, (*self.columns.names, *self.columns.metadata), self.source)

    def __len__(self) -> int:
        return len(self.names)

    def only(self, rows: Int[np.ndarray, " row"]) -> Listing:
        """Return a listing of these rows alone, numbered anew."""
        return replace(
            self,
            table=self.table.take(pa.array(rows)),
            names=[self.names[row] for row in rows],
            parts=self.parts and [self.parts[row] for row in rows],
            contents=lambda wanted: self.contents(rows[wanted]),
        )


def require(kind: Literal["file", "folder"], path: Path) -> None:
    """Refuse a path that is not there.

    Raises:
        StudyError: there is no such file or folder.
    """
    if not (path.is_file() if kind == "file" else path.is_dir()):
        raise StudyError(
            f"there is no {kind} {path}. Relative paths in a study file start at the study file."
        )


def split_name(name: str) -> Split | None:
    """Return our name of a split that people call train, val, dev, testing and the like."""
    return _SPLIT_NAMES.get(name.strip().lower())


def require_columns(table: pa.Table, wanted: tuple[str, ...], source: str) -> None:
    """Refuse a table that lacks a wanted column.

    Raises:
        StudyError: naming the columns that are missing and those that are there.
    """
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        there = ", ".join(quoted(name) for name in table.column_names[:_LISTED_COLUMNS]) or "none"
        if more := len(table.column_names[_LISTED_COLUMNS:]):
            there += f" and {more:,} more"
        raise StudyError(
            f"{source} has no column {', '.join(quoted(name) for name in missing)}. Its columns "
            f"are: {there}. Correct the column names under `dataset` in the study file."
        )


def text(table: pa.Table, name: str, missing: Collection[str] = MISSING) -> list[str | None]:
    """Return a column as text without blanks at its ends; a missing value becomes `None`.

    Whole numbers have no `.0`, which only a missing neighbour gives them. What is `missing` is so
    besides nothing at all, unless the column itself lists its values (Arrow's dictionary).

    Raises:
        StudyError: the column holds lists, pictures or other things that are no text.
    """
    kind = table[name].type
    values = [trimmed(value) for value in _as_text(table, name)]
    if pa.types.is_dictionary(kind):
        missing = ()
    elif pa.types.is_floating(kind):
        missing = {*missing, "nan"}
    return [value if value and value not in missing else None for value in values]


def count_trimmed(table: pa.Table, name: str) -> int:
    """Return how many values of a column have blanks at their ends."""
    kind = table[name].type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return 0
    values = _as_text(table, name)
    return sum(value is not None and value != trimmed(value) for value in values)


def trimmed(value: str | None) -> str:
    """Return a text without blanks, or characters that show nothing, at its ends."""
    return _BLANK_ENDS.sub("", value or "")


def _as_text(table: pa.Table, name: str) -> list[str | None]:
    kind = table[name].type
    if pa.types.is_floating(kind):  # which Arrow writes as 1.2e+11 where they are large
        numbers = table[name].to_pylist()
        return [v if v is None else str(int(v) if v.is_integer() else v) for v in numbers]
    try:
        values: list[str | None] = pc.cast(table[name], pa.large_string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise StudyError(
            f"the column {quoted(name)} holds {table[name].type}, which cannot name anything. "
            "Name a column of text or numbers under `dataset` in the study file."
        ) from None
    return values


def quoted(value: str) -> str:
    """Return foreign text between quotes, printable, in one line and not too long."""
    shown = value if len(value) <= _LONGEST_QUOTE else value[:_LONGEST_QUOTE] + "…"
    return f"`{printable(shown)}`"


def printable(value: str) -> str:
    """Return foreign text with `\\r`, `\\x1b` and the like for what would move a terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in value
    )
