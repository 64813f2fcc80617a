"""The stage `edit`: trained heads in, edited heads out."""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.edits import Edits
from curette.schemas.probe import Heads
from curette.tasks.edit import STAGE
from curette.tasks.stage import Workplace, leave_table


@STAGE.task
def edit_heads(
    workplace: Workplace,
    published: Ref[ConceptDataset],
    probe: Ref[Heads],
    edits: Ref[Edits] | None,
    refitted: Ref[Heads] | None = None,
) -> Ref[Heads]:
    """Edit every head that weighs an edited concept; without edits the probe stays as it is.

    Args:
        workplace: where to work.
        published: what the heads were trained on.
        probe: the trained heads.
        edits: None: there are none.
        refitted: the heads as they are trained without the concepts that edits forbid.

    Raises:
        StudyError: an edit names a concept that no head weighs, or a class that is not there.
    """
    from curette.tasks.edit.heads import edit_probe

    if edits is None:
        return probe
    store = workplace.store
    wanted = store.load(Edits, edits)
    edited = edit_probe(
        store.load(ConceptDataset, published),
        store.load(Heads, probe),
        wanted,
        store.load(Heads, refitted) if refitted else None,
    )
    rows: list[dict[str, object]] = [
        {"edit": edit.told, "who": edit.editor, "when": edit.edited_on, "why": edit.reason}
        for edit in wanted.edits
    ]
    leave_table("edits", rows, "What a person changed in the trained heads.")
    return store.save(edited, STAGE.recipe())
