"""The stage `review`: a screened set in, the same as a person wants it out."""

from prefect import task

from curette.schemas.artifact import Ref
from curette.schemas.images import ImageDataset
from curette.schemas.review import Decisions, ReviewFacts
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.review import ReviewSpec
from curette.storage.store import ArtifactStore
from curette.tasks.review.decisions import apply_decisions, require_every_class
from curette.tasks.stage import Stage, leave_table

STAGE = Stage(name="review")
_SHOWN = 500  # rows of the table in the UI; the artifact holds all


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def review_concepts(
    dataset: Ref[ImageDataset],
    screened: Ref[ScreenedSet],
    decisions: Ref[Decisions],
    spec: ReviewSpec,
    store: ArtifactStore,
) -> Ref[ScreenedSet]:
    """Apply a person's decisions; without a review the screened set is what it was.

    Raises:
        StudyError: an unknown class, or one that lost all its concepts; then the set was saved.
    """
    if spec.mode == "off":
        return screened
    classes = store.load(ImageDataset, dataset).classes
    before = store.load(ScreenedSet, screened)
    reviewed = apply_decisions(before, store.load(Decisions, decisions), classes)
    # The spec says how decisions are asked for, not what they are; the settings that made the set
    # are the screen's.
    recipe = STAGE.recipe(dataset=dataset, screened=screened, decisions=decisions).model_copy(
        update={"spec": store.manifest(screened).recipe.spec}
    )
    ref = store.save(reviewed, recipe)
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
