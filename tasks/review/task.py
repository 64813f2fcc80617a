"""The stage `review`: a screened set in, the same as a person wants it out."""

from curette.schemas.artifact import Ref
from curette.schemas.images import ImageDataset
from curette.schemas.review import Decisions, ReviewFacts
from curette.schemas.screened import ScreenedSet
from curette.tasks.review import STAGE
from curette.tasks.review.decisions import apply_decisions, require_every_class
from curette.tasks.stage import Workplace, leave_table

_SHOWN = 500  # rows of the table in the UI; the artifact holds all


@STAGE.task
def review_concepts(
    at: Workplace,
    dataset: Ref[ImageDataset],
    screened: Ref[ScreenedSet],
    decisions: Ref[Decisions] | None,
) -> Ref[ScreenedSet]:
    """Apply a person's decisions; without a review the screened set is what it was.

    Raises:
        StudyError: an unknown class, or one that lost all its concepts; then the set was saved.
    """
    if decisions is None:
        return screened
    classes = at.store.load(ImageDataset, dataset).classes
    before = at.store.load(ScreenedSet, screened)
    reviewed = apply_decisions(before, at.store.load(Decisions, decisions), classes)
    ref = at.store.save(reviewed, STAGE.recipe())
    if reviewed.review:
        _leave_table(reviewed.review, ref)
    require_every_class(reviewed, before, classes, ref)
    return ref


def _leave_table(review: ReviewFacts, ref: Ref[ScreenedSet]) -> None:
    """Show in the Prefect UI what was decided, and what the gates had said."""
    counts = ", ".join(f"{n} {verdict}" for verdict, n in review.counts.items()) or "none"
    leave_table(
        "review",
        [
            {
                "concept": d.text,
                "verdict": d.verdict,
                "becomes": d.new_text or ", ".join(d.new_classes),
                "reviewer": d.reviewer,
                "reason": d.reason,
                "the gates": f"{d.gate}: {d.gate_reason}" if d.gate else "kept",
            }
            for d in review.applied[:_SHOWN]
        ],
        f"Decisions: {counts}; {len(review.not_found)} about concepts that are not in the set; "
        f"{len(review.undecided)} concepts that gates were unsure of are undecided. The first "
        f"{_SHOWN}, all in {ref}",
    )
