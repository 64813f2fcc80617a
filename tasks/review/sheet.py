"""Decisions as a sheet: a CSV file that a person fills in with any spreadsheet program."""

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from pydantic import ValidationError

from curette.schemas.candidates import concept_id
from curette.schemas.concepts import ConceptSet
from curette.schemas.review import Decision, Decisions, Verdict
from curette.schemas.screened import ScreenedSet
from curette.tasks.methods.filled_tables import Fault, FilledTable, protect, write_table

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
    `could_stand_in` what a pick may be exchanged for, and what the set then loses more.
    """
    made = {d.concept_id: d for d in decisions.decisions}
    unsure = {u.concept_id: u for u in screened.unsure}
    drops = {d.candidate.concept_id: d for d in screened.dropped}
    concepts = {c.concept_id: c for c in (*screened.kept, *(d.candidate for d in screened.dropped))}
    picks = _told_of_picks(chosen) if chosen else {}
    rows = []
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
        rows.append([protect(cell) for cell in cells])
    return write_table(COLUMNS, rows)


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


# --- in -----------------------------------------------------------------------------------------


def read_sheet(
    content: bytes, file: str, class_keys: Sequence[str], reviewer: str
) -> tuple[Decision, ...]:
    """Return the decisions of a sheet that a person filled in; rows without a verdict are none.

    Args:
        content: the file's bytes.
        file: its name, for messages.
        class_keys: the classes that a concept may be given.
        reviewer: who decided where the sheet does not say.

    Raises:
        StudyError: lists everything that is wrong, each with its row and column.
    """
    table = FilledTable("review sheet", file, _NEEDED, COLUMNS)
    faults: list[Fault] = []
    decisions: list[Decision] = []
    rows: dict[str, int] = {}
    for row, cells in table.rows(content):
        decision, found = read_decision(cells, class_keys, reviewer)
        if decision is not None:
            first = rows.setdefault(decision.concept_id, row)
            if first != row:
                found.append(("verdict", f"row {first} decides about the same concept"))
            decisions.append(decision)
        faults += (Fault(what, row, column) for column, what in found)
    table.refuse(faults)
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
