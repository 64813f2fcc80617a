"""Tables that a person fills in with any spreadsheet program, written and read in one way.

What is written no program runs or turns into a number; what is read may have its columns in any
order, separated by commas, semicolons or tabs, and tells all that is wrong with it at once, each
with its row, its column and what is allowed there.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from curette.schemas.artifact import StudyError

_BEGINS = r"(^|[,;|\t\r\n])('*)"
_HARMFUL = r"""(?=[\s"']*[=+\-@＝＋－＠]|[\t\r\n])"""
_NUMBER = r"^('*)(?=\d[\deE.,:/ +-]*$)"


def protect(cell: str) -> str:
    """Return a cell that a spreadsheet shows as it is: an apostrophe before what it would run.

    A formula begins with = + - or @ (OWASP, "CSV Injection"), at the start of a cell or after
    anything that some spreadsheet takes for the end of one. A number gets one too, since Excel
    writes the concept id 123456789012 back as 1.23457E+11. `restore` undoes it exactly.
    """
    return re.sub(_NUMBER, r"\1'", re.sub(_BEGINS + _HARMFUL, r"\1\2'", cell))


def restore(cell: str) -> str:
    """Return a cell as it was before `protect`; what a person wrote without its care is kept."""
    number = _NUMBER.replace("('*)", "('*)'")
    return re.sub(f"{_BEGINS}'{_HARMFUL}", r"\1\2", re.sub(number, r"\1", cell))


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return CSV in UTF-8 with a byte order mark, by which Excel knows it.

    Args:
        columns: their names.
        rows: the cells, protected where they are not of our own making.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: what it is and what is allowed, and where it stands."""

    told: str
    row: int | None = None
    """As spreadsheets count: the first is 1."""
    column: str = ""

    def __str__(self) -> str:
        """Return its line of a refusal."""
        row = [f"row {self.row}"] if self.row else []
        column = [f"column {self.column}"] if self.column else []
        return f"  {', '.join(row + column)}: {self.told}" if row or column else f"  {self.told}"


def faults_of(error: ValidationError, columns: dict[str, str]) -> list[tuple[str, str]]:
    """Return the column and what is wrong for each fault that a schema finds.

    Args:
        error: the schema's.
        columns: of fields that are called otherwise in the table.
    """
    found = []
    for e in error.errors():
        field = str(e["loc"][0]) if e["loc"] else ""
        told = e["msg"].removeprefix("Value error, ")
        value = f"{e['input']!r}: " if field and isinstance(e["input"], str) else ""
        found.append((columns.get(field, field), f"{value}{told}"))
    return found


@dataclass(frozen=True)
class FilledTable:
    """What a table is called, and which columns it has."""

    title: str
    """Such as `review sheet`."""
    file: str
    needed: tuple[str, ...]
    known: tuple[str, ...] = ()
    """All that it may have; empty: others are passed over."""

    def rows(self, content: bytes) -> list[tuple[int, dict[str, str]]]:
        """Return each row that is not blank, column -> cell, with the number spreadsheets give it.

        Raises:
            StudyError: it is no such table.
        """
        try:
            text = content.decode("utf-8-sig")
            first = next((line for line in text.splitlines() if line.strip()), "")
            read = csv.reader(
                io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True
            )
            filled = [
                (number, [restore(cell).strip() for cell in cells])
                for number, cells in enumerate(read, start=1)
                if any(cell.strip() for cell in cells)
            ]
        except UnicodeDecodeError:
            told = "it is not UTF-8: choose `CSV UTF-8` where the spreadsheet program saves it"
            raise self._refusal([Fault(told)]) from None
        except csv.Error as error:
            raise self._refusal([Fault(f"it is not CSV: {error}")]) from None
        head_row, head = filled[0] if filled else (1, [])
        columns = [name.lower() for name in head]
        while columns and not columns[-1]:
            columns.pop()
        known = self.known or self.needed
        faults = [f"column {c} is missing" for c in self.needed if c not in columns]
        faults += [f"column {c} stands twice" for c in known if columns.count(c) > 1]
        faults += [
            f"there is no column {c!r}; there are {', '.join(self.known)}"
            for c in columns
            if self.known and c not in self.known
        ]
        faults += [
            f"row {row} has more cells than the head has columns"
            for row, cells in filled[1:]
            if any(cells[len(columns) :])
        ]
        self.refuse([Fault(told, head_row) for told in faults])
        return [(row, dict(zip(columns, cells, strict=False))) for row, cells in filled[1:]]

    def refuse(self, faults: Sequence[Fault]) -> None:
        """Refuse the whole table where anything is wrong with it.

        Raises:
            StudyError: lists every fault.
        """
        if faults:
            raise self._refusal(faults)

    def _refusal(self, faults: Sequence[Fault]) -> StudyError:
        count = f"{len(faults)} problem{'s' if len(faults) > 1 else ''}"
        said = f"{count} in the {self.title} {self.file}".rstrip()
        return StudyError("\n".join([f"{said}; nothing was imported:", *map(str, faults)]))
