"""Editing a study's trained heads: a sheet out and in, all of it before anything counts."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from curette.flows.runs import RunResult
from curette.flows.sequence import current_edits
from curette.flows.stages import RunOptions
from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.edits import Edit, Edits
from curette.schemas.heads import EXPLAINED
from curette.schemas.probe import Head, Heads
from curette.schemas.study import Study
from curette.storage.audit import audit
from curette.storage.decisions import DecisionShelf
from curette.storage.store import ArtifactStore
from curette.tasks.edit import STAGE
from curette.tasks.edit.heads import check_edits, idle_edits
from curette.tasks.edit.proposals import WORTH_A_LOOK, Proposal, propose_edits
from curette.tasks.methods.filled_tables import (
    Fault,
    FilledTable,
    faults_of,
    protect,
    write_table,
)

RunUntilProbe = Callable[[Study, RunOptions], RunResult]
_FILLED_IN = ("operation", "class", "amount", "editor", "reason", "edited_on")


def edits_so_far(study: Study, store: ArtifactStore) -> tuple[Edit, ...]:
    """Return the edits of a study's heads that count now."""
    current = current_edits(study, store)
    return store.load(Edits, current).edits if current else ()


def keep_edits(
    study: Study, options: RunOptions, edits: Sequence[Edit], run_until_probe: RunUntilProbe
) -> str:
    """Let these edits, and no others, count from now on; return what to say.

    They are tried on the trained heads first, and nothing is kept where one cannot be done. The
    test labels are not read, so whoever edits by them must have seen them elsewhere: the ledger
    of looks tells when.

    Raises:
        StudyError: an edit names a concept that no head weighs, or a class that is not there.
    """
    made = run_until_probe(study, options).made
    store = ArtifactStore(options.store.resolve())
    wanted = Edits(study=study.name, edits=tuple(edits))
    published = store.load(ConceptDataset, made[ConceptDataset.kind])
    probe = store.load(Heads, made[Heads.kind])
    check_edits(published, probe, wanted)
    idle = idle_edits(published, probe, wanted)
    gone = len(set(edits_so_far(study, store)) - set(edits))
    ref = store.save(wanted, STAGE.recipe_of({}))
    DecisionShelf(store.root, Edits).change(study.name, lambda _: ref)
    what = f"edited heads: {len(edits)} edits now, {gone} taken back"
    audit(store.root, what, study.name, (e.editor for e in edits))
    taken_back = f"{gone} of the edits before are taken back. " * (gone > 0)
    if not edits:
        return f"no edits: the heads are as they were trained. {taken_back}The next run says so."
    told = [f"  {e.told}{' (changes no head)' * (e in idle)}" for e in edits]
    return "\n".join([*told, f"{taken_back}The next run measures them."])


def export_edits(
    study: Study, options: RunOptions, sheet: Path, run_until_probe: RunUntilProbe
) -> str:
    """Write every weighed concept into a sheet; return what to say.

    The first rows are those whose score tells most of what should not matter, among images of one
    class, times how much the bottleneck weighs it.

    Raises:
        StudyError: there is such a file already.
    """
    made = run_until_probe(study, options).made
    store = ArtifactStore(options.store.resolve())
    published = store.load(ConceptDataset, made[ConceptDataset.kind])
    head = store.load(Heads, made[Heads.kind]).head(EXPLAINED)
    done = edits_so_far(study, store)
    content = write_sheet(published, head, done)
    try:
        with sheet.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise StudyError(
            f"{sheet} is there already, and may hold edits: apply it, or choose another name"
        ) from None
    except OSError as error:
        raise StudyError(f"cannot write the sheet {sheet}: {error.strerror}") from None
    return (
        f"{sheet}: {len(head.facts.candidates)} concepts, {len(done)} edits so far. Fill in "
        "operation (neutralise, forget, scale, cap, at least 0, at most 0, forbid), class or "
        "amount, editor and reason, and apply it. Rows without an operation are no edits.\n"
        f"{_worth_it(propose_edits(published, head))}"
    )


def _worth_it(proposals: Sequence[Proposal]) -> str:
    """Say whether single concepts tell enough of a nuisance that an edit could help."""
    telling = [p for p in proposals if p.told >= WORTH_A_LOOK]
    if telling:
        return (
            f"The concepts that explain most of a metadata column within classes stand first: "
            f"{len(telling)} of them at least {WORTH_A_LOOK:.0%}. See whether it should count."
        )
    most = max(proposals, key=lambda p: p.told)
    if not most.column:
        return "No concept predicts any metadata column of few values within classes."
    return (
        f"No concept explains {WORTH_A_LOOK:.0%} of any metadata column within classes; the most "
        f"is {most.told:.1%}, of {most.column}. On the demo, neutralising such concepts cost more "
        "than it brought (docs/results.md): what many explain a little remains without one."
    )


def write_sheet(published: ConceptDataset, head: Head, edits: Sequence[Edit]) -> bytes:
    """Return the sheet: a row an edit, and one a concept without any."""
    keys = published.class_keys
    told_of = ("tells_of", "share")
    columns = ("concept_id", "text", *(f"weight for {k}" for k in keys), *told_of, *_FILLED_IN)
    written = []
    for proposal in propose_edits(published, head):
        concept = head.facts.candidates[proposal.place]
        own = [e for e in edits if e.concept_id == concept.concept_id]
        rows: Sequence[Edit | None] = own or [None]
        for e in rows:
            amount = "" if e is None or e.amount is None else f"{e.amount:g}"
            filled = (
                (e.operation, e.class_key, amount, e.editor, e.reason, e.edited_on)
                if e
                else ("",) * len(_FILLED_IN)
            )
            numbers = [f"{w:+.3f}" for w in proposal.weights]
            written.append(
                [
                    *(protect(cell) for cell in (concept.concept_id, concept.text)),
                    *(*numbers, protect(proposal.column), f"{proposal.told:.3f}"),
                    *(protect(cell) for cell in filled),
                ]
            )
    return write_table(columns, written)


def open_sheet(sheet: Path) -> tuple[Edit, ...]:
    """Return the edits of a sheet.

    Raises:
        StudyError: it cannot be read, or anything in it is wrong.
    """
    try:
        content = sheet.read_bytes()
    except OSError as error:
        raise StudyError(f"cannot read the sheet {sheet}: {error.strerror}") from None
    return read_sheet(content, str(sheet))


def read_sheet(content: bytes, file: str) -> tuple[Edit, ...]:
    """Return the edits of a sheet that a person filled in.

    Raises:
        StudyError: lists everything that is wrong, each with its row.
    """
    table = FilledTable("sheet of edits", file, ("concept_id", "text", *_FILLED_IN[:4]))
    if not content.strip():
        told = "it is empty; to take all edits back, apply an exported sheet without any operation"
        table.refuse([Fault(told)])
    edits, faults = [], []
    for number, row in table.rows(content):
        if not row.get("operation"):
            filled = [column for column in ("class", "amount") if row.get(column)]
            told = f"is empty, but {' and '.join(filled)} is filled in"
            faults += [Fault(told, number, "operation")] * bool(filled)
            continue
        if not row.get("editor"):
            faults.append(Fault("who edits? Fill it in", number, "editor"))
            continue
        try:
            edits.append(_edit(row))
        except ValidationError as error:
            found = faults_of(error, {"class_key": "class", "": "operation"})
            faults += [Fault(told, number, column) for column, told in found]
    table.refuse(faults)
    return tuple(edits)


def _edit(row: dict[str, str]) -> Edit:
    return Edit.model_validate(
        {
            "concept_id": row["concept_id"],
            "text": row["text"],
            "operation": row["operation"].lower(),
            "class_key": row.get("class", ""),
            "amount": row.get("amount", "").replace(",", ".") or None,
            "editor": row.get("editor", ""),
            "reason": row.get("reason", ""),
            "edited_on": row.get("edited_on", ""),
        }
    )
