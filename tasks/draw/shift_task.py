"""The stage `shifts`: a published dataset in, what each shift trains on out."""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.settings.draw import ShiftSpec
from curette.schemas.settings.select import SelectSpec
from curette.schemas.shifts import ShiftSplits
from curette.tasks.draw import SHIFTS as STAGE
from curette.tasks.stage import Workplace, leave_table


@STAGE.task
def restrict_to_shifts(
    at: Workplace,
    published: Ref[ConceptDataset],
    select: SelectSpec,
    shifts: tuple[ShiftSpec, ...],
) -> Ref[ShiftSplits]:
    """Choose each shift's training and validation images, and its concepts by them alone."""
    from curette.tasks.draw.shifts import restrict_to_shifts

    made = restrict_to_shifts(at.store.load(ConceptDataset, published), select, shifts)
    leave_table("shifts", _rows(made), "What each shift trains and chooses on.")
    return at.store.save(made, STAGE.recipe())


def _rows(made: ShiftSplits) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "shift": split.plan.spec.title,
            "part": part.name,
            "images": part.images,
            "groups": part.groups,
            "correlation": "" if part.cramers_v is None else round(part.cramers_v, 3),
            "concepts": len(split.concepts),
        }
        for split in made.splits
        for part in split.plan.parts
    ]
    return rows + [{"shift": u.title, "part": f"not computable: {u.reason}"} for u in made.unusable]
