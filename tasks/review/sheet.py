"""Decisions as a sheet: a CSV file that a person fills in with any spreadsheet program."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from pydantic import ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import concept_id
from curette.schemas.concepts import ConceptSet
from curette.schemas.review import Decision, Decisions, Verdict
from curette.schemas.screened import ScreenedSet

COLUMNS = (
    "concept_id",
    "text",
    "classes",
    "gate",
    "reason",
    "unsure",
    "why_unsure",
    "chosen",
    "could_stand_in",
    "verdict",
    "new_text",
    "new_classes",
    "reviewer",
    "comment",
    "decided_on",
)
_NEEDED = ("concept_id", "text", "verdict")
_COLUMN_OF = {"reason": "comment"}  # a decision's field -> its column, where the names differ
_BETWEEN_CLASSES = "|"


# --- out ----------------------------------------------------------------------------------------


def write_sheet(
    screened: ScreenedSet, decisions: Decisions, chosen: ConceptSet | None = None
) -> bytes:
    """Return one row a concept, kept or dropped, with the present decisions filled in.

    First those that were chosen, where any were, then those that gates were unsure of, the least
    sure first, then the kept, then the dropped. `unsure` says how sure the gate was, 0 to 1;
    `could_stand_in` what a pick may be exchanged for, and what the set then loses more. UTF-8 with
    a byte order mark, by which Excel knows it; what a spreadsheet would run or turn into a number
    is made harmless by `protect`.
    """
    made = {d.concept_id: d for d in decisions.decisions}
    unsure = {u.concept_id: u for u in screened.unsure}
    drops = {d.candidate.concept_id: d for d in screened.dropped}
    concepts = {c.concept_id: c for c in (*screened.kept, *(d.candidate for d in screened.dropped))}
    picks = _told_of_picks(chosen) if chosen else {}
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    first = (key for key in (*picks, *unsure) if key in concepts)
    for key in dict.fromkeys((*first, *concepts)):
        concept, drop, doubt, decision = (
            concepts[key],
            drops.get(key),
            unsure.get(key),
            made.get(key),
        )
        cells = (
            key,
            concept.text,
            _join(concept.classes),
            drop.gate if drop else "",
            drop.reason if drop else "",
            f"{doubt.sure:.2f}" if doubt else "",
            f"{doubt.gate}: {doubt.why}" if doubt else "",
            *picks.get(key, ("", "")),
            decision.verdict if decision else "",
            decision.new_text if decision else "",
            _join(decision.new_classes) if decision else "",
            decision.reviewer if decision else "",
            decision.reason if decision else "",
            decision.decided_on if decision else "",
        )
        writer.writerow(protect(cell) for cell in cells)
    return out.getvalue().encode("utf-8-sig")


def _told_of_picks(chosen: ConceptSet) -> dict[str, tuple[str, str]]:
    """Return, for each pick and each that a person exchanged, its place and what could stand in."""
    substitutes = {e.concept_id: e.substitutes for e in chosen.exchanges}
    told = {}
    for place, concept in enumerate(chosen.concepts, start=1):
        others = [
            f"{s.text} ({s.excess:+.4f} ± {s.standard_error:.4f})"
            for s in substitutes.get(concept.concept_id, ())
        ]
        loss = "" if chosen.loss is None else f", together they lose {chosen.loss:.4f}"
        told[concept.concept_id] = (
            f"{place} of {len(chosen.concepts)}{loss}",
            f" {_BETWEEN_CLASSES} ".join(others),
        )
    return told | {e.concept_id: (f"exchanged for: {e.for_text}", "") for e in chosen.exchanged}


def _join(classes: Sequence[str]) -> str:
    return f" {_BETWEEN_CLASSES} ".join(classes)


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


# --- in -----------------------------------------------------------------------------------------


def read_sheet(
    content: bytes, file: str, class_keys: Sequence[str], reviewer: str
) -> tuple[Decision, ...]:
    """Return the decisions of a sheet that a person filled in; rows without a verdict are none.

    Columns may stand in any order and be separated by commas, semicolons or tabs; blank rows do
    not count.

    Args:
        content: the file's bytes.
        file: its name, for messages.
        class_keys: the classes that a concept may be given.
        reviewer: who decided where the sheet does not say.

    Raises:
        StudyError: lists everything that is wrong, each with its row and column.
    """
    problems: list[str] = []
    decisions: list[Decision] = []
    rows: dict[str, int] = {}
    for row, cells in _rows(content, file):
        decision, found = read_decision(cells, class_keys, reviewer)
        if decision is not None:
            first = rows.setdefault(decision.concept_id, row)
            if first != row:
                found.append(("verdict", f"row {first} decides about the same concept"))
            decisions.append(decision)
        problems += (f"  row {row}, column {column}: {what}" for column, what in found)
    if problems:
        raise _wrong(file, problems)
    return tuple(decisions)


def read_decision(
    cells: Mapping[str, str], class_keys: Sequence[str], reviewer: str
) -> tuple[Decision | None, list[tuple[str, str]]]:
    """Return the decision of one row, None where it has none, and what is wrong with the row.

    Args:
        cells: column -> cell; columns may be missing.
        class_keys: the classes that a concept may be given.
        reviewer: who decided where the row does not say.

    Returns:
        The decision, and columns with what is wrong in them; where anything is, no decision.
    """
    found = [*_problems(cells, class_keys)]
    if found or not cells.get("verdict"):
        return None, found
    try:
        return _decision(cells, reviewer), []
    except ValidationError as error:
        return None, [_problem(e["loc"], e["msg"]) for e in error.errors()]


def _rows(content: bytes, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row that is not blank, column -> cell, with the number spreadsheets give it."""
    try:
        text = content.decode("utf-8-sig")
        first = next((line for line in text.splitlines() if line.strip()), "")
        rows = csv.reader(
            io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True
        )
        filled = [
            (number, [restore(cell).strip() for cell in cells])
            for number, cells in enumerate(rows, start=1)
            if any(cell.strip() for cell in cells)
        ]
    except UnicodeDecodeError:
        raise _wrong(
            file, ["  it is not UTF-8: choose `CSV UTF-8` where the spreadsheet program saves it"]
        ) from None
    except csv.Error as error:
        raise _wrong(file, [f"  it is not CSV: {error}"]) from None
    head_row, head = filled[0] if filled else (1, [])
    columns = [name.lower() for name in head]
    while columns and not columns[-1]:
        columns.pop()
    problems = [f"column {c} is missing" for c in _NEEDED if c not in columns]
    problems += [f"column {c} stands twice" for c in COLUMNS if columns.count(c) > 1]
    problems += [
        f"there is no column {c!r}; there are {', '.join(COLUMNS)}"
        for c in columns
        if c not in COLUMNS
    ]
    problems += [
        f"row {row} has more cells than the head has columns"
        for row, cells in filled[1:]
        if any(cells[len(columns) :])
    ]
    if problems:
        raise _wrong(file, [f"  row {head_row}: {problem}" for problem in problems])
    for row, cells in filled[1:]:
        yield row, dict(zip(columns, cells, strict=False))


def _problems(cells: Mapping[str, str], class_keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (column, what is wrong) of what only the sheet can get wrong."""
    key, text, verdict = (cells.get(column, "") for column in _NEEDED)
    if concept_id(text) != key.lower():
        yield (
            "text",
            f"{text!r} is not the text of the concept {key!r}. To change a text, leave it as it is "
            "and write the new one into new_text, with the verdict `reword`",
        )
    for column in ("new_text", "new_classes"):
        if cells.get(column) and not verdict:
            yield "verdict", f"is empty, but {column} is filled in"
    strange = sorted({*_split(cells.get("new_classes", ""))} - {*class_keys})
    if strange:
        yield (
            "new_classes",
            f"there is no class {', '.join(map(repr, strange))}; there are "
            f"{', '.join(class_keys)}, several with {_BETWEEN_CLASSES} between them",
        )


def _decision(cells: Mapping[str, str], reviewer: str) -> Decision:
    return Decision.model_validate(
        {
            "concept_id": cells["concept_id"].lower(),
            "text": cells["text"],
            "verdict": cells["verdict"].lower(),
            "new_text": " ".join(cells.get("new_text", "").split()),
            "new_classes": _split(cells.get("new_classes", "")),
            "reviewer": cells.get("reviewer") or reviewer,
            "reason": cells.get("comment", ""),
            "decided_on": cells.get("decided_on", ""),
        }
    )


def _problem(loc: tuple[int | str, ...], message: str) -> tuple[str, str]:
    column = _COLUMN_OF.get(str(loc[0]), str(loc[0]))
    if column == "reviewer":
        message = "who decided? Fill it in, or name somebody in the study (review.reviewer)"
    elif column == "verdict":
        message = f"must be one of {', '.join(get_args(Verdict))}, or empty"
    return column, message.removeprefix("Value error, ")


def _split(cell: str) -> tuple[str, ...]:
    parts = (part.strip() for part in cell.split(_BETWEEN_CLASSES))
    return tuple(dict.fromkeys(part for part in parts if part))


def _wrong(file: str, problems: Sequence[str]) -> StudyError:
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return StudyError(
        "\n".join([f"{count} in the review sheet {file}; nothing was imported:", *problems])
    )
