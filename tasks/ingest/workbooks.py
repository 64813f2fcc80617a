"""The sheets of an Excel workbook, read no further than a table of images could go."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curette.schemas.artifact import StudyError

ERRORS = ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!")
"""What a spreadsheet shows where a formula failed."""
_MOST_BYTES = 128 << 20
_MOST_ROWS = 1 << 20
"""As many as Excel itself has."""
_MOST_CELLS = 20_000_000
_SMALLER = "Save the sheet that is meant as CSV (UTF-8)."
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})"')


@dataclass(frozen=True)
class Sheet:
    """The cells of a sheet, as many in each row; `None` where one is empty or a formula failed."""

    name: str
    rows: list[list[Any]]
    failed: int
    """Cells of formulas that failed."""
    merged: list[tuple[int, int, int, int]]
    """First column and row, last column and row of merged cells, counted from 1."""
    first: int = 1
    """Which row of the file the first one is."""


def read_sheets(path: Path) -> list[Sheet]:
    """Return the sheets that have cells.

    Raises:
        StudyError: the workbook is damaged, or unpacks to more than a table of images would.
    """
    return [sheet for sheet in _sheets(path, data_only=True) if sheet.rows]


def count_unknown(path: Path, sheet: str, columns: Sequence[int]) -> int:
    """Return how many formulas in some columns of a sheet have no result in the file.

    Programs that write workbooks without calculating them leave such.
    """
    formulas = next(s.rows for s in _sheets(path, data_only=False) if s.name == sheet)
    results = next(s.rows for s in _sheets(path, data_only=True) if s.name == sheet)
    return sum(
        formula[c] is not None and (c >= len(result) or result[c] is None)
        for formula, result in zip(formulas, results + [[]] * len(formulas), strict=False)
        for c in columns
        if c < len(formula)
    )


def _sheets(path: Path, *, data_only: bool) -> Iterator[Sheet]:
    import openpyxl

    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as packed:
            warnings.simplefilter("ignore")  # of styles and the like
            _check_size(path, packed)
            book = openpyxl.load_workbook(path, read_only=True, data_only=data_only)
            try:
                for sheet in book.worksheets:
                    sheet.reset_dimensions()  # what is said of them need not be so
                    rows, failed = _cells(path, sheet)
                    merged = _MERGED.findall(packed.read(sheet._worksheet_path))
                    places = [openpyxl.utils.range_boundaries(ref.decode()) for ref in merged]
                    yield Sheet(sheet.title, rows, failed, places)
            finally:
                book.close()
    except (StudyError, OSError):
        raise
    except Exception as error:  # whatever zip, XML and openpyxl say of files that are not ours
        said = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
        raise StudyError(
            f"{path} cannot be read as an Excel workbook: {said}. Open it in Excel and save it "
            f"again, or: {_SMALLER}"
        ) from error


def _check_size(path: Path, packed: zipfile.ZipFile) -> None:
    """Refuse a workbook whose texts unpack to far too much; pictures are not unpacked."""
    texts = [m for m in packed.infolist() if not m.filename.lower().startswith("xl/media/")]
    if (size := sum(m.file_size for m in texts)) > _MOST_BYTES:
        raise StudyError(
            f"{path} unpacks to {size >> 20:,} MiB, and at most {_MOST_BYTES >> 20} of a workbook "
            f"are read. {_SMALLER}"
        )


def _cells(path: Path, sheet: Any) -> tuple[list[list[Any]], int]:
    """Return the rows of a sheet, without empty ones at its end, and how many formulas failed."""
    rows: list[list[Any]] = []
    cells = failed = width = 0
    for found in sheet.iter_rows():
        row: list[Any] = []
        if found:  # what stands in a far corner comes with a million empty rows above it
            errors = [cell.data_type == "e" or cell.value in ERRORS for cell in found]
            failed += sum(errors)
            pairs = zip(found, errors, strict=True)
            row = [None if error or cell.value == "" else cell.value for cell, error in pairs]
            while row and row[-1] is None:
                row.pop()
        rows.append(row)
        width = max(width, len(row))
        cells += len(found)
        if len(rows) > _MOST_ROWS or max(cells, len(rows) * width) > _MOST_CELLS:
            raise StudyError(
                f"the sheet {sheet.title} of {path} has far more cells than a table with one row "
                f"an image: more than {_MOST_ROWS:,} rows or {_MOST_CELLS:,} cells. Often "
                f"something stands in a far corner. {_SMALLER}"
            )
    while rows and not rows[-1]:
        rows.pop()
    return [row + [None] * (width - len(row)) for row in rows], failed
