"""The stage `draw`: a published dataset in, what one protocol trains heads on out."""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draws
from curette.schemas.heads import Protocol
from curette.schemas.settings.draw import DrawSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.draw import STAGE
from curette.tasks.stage import Workplace, leave_table


@STAGE.task
def draw_images(
    at: Workplace,
    published: Ref[ConceptDataset],
    protocol: Protocol,
    select: SelectSpec,
    spec: DrawSpec,
) -> Ref[Draws]:
    """Draw training and validation images; each draw chooses its concepts by itself.

    Raises:
        StudyError: the settings name what the dataset does not have.
    """
    from curette.tasks.draw.protocols import PROTOCOLS

    drawn = PROTOCOLS[protocol](at.store.load(ConceptDataset, published), select, spec)
    leave_table("draws", _rows(drawn), f"What heads are trained on: {protocol}.")
    return at.store.save(drawn, STAGE.recipe())


def _rows(drawn: Draws) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "draw": draw.title,
            "training images": len(draw.image_ids),
            "validation images": len(draw.validation_ids) or "all",
            "concepts": len(draw.concept_ids),
        }
        for draw in drawn.draws
    ]
    return rows + [{"draw": f"{u.title}: not computable: {u.reason}"} for u in drawn.unusable]
