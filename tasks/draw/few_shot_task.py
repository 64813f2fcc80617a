"""The stage `few_shots`: few images a class, drawn again and again from what is published.

Each draw selects concepts for itself.
"""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraws
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.draw import FEW_SHOTS as STAGE
from curette.tasks.stage import Workplace, leave_table


@STAGE.task
def draw_few_shots(
    at: Workplace,
    published: Ref[ConceptDataset],
    select: SelectSpec,
    spec: FewShotSpec,
) -> Ref[FewShotDraws]:
    """Draw few training images again and again; each draw chooses its concepts by itself."""
    from curette.tasks.draw.few_shots import draw_few_shots

    drawn = draw_few_shots(at.store.load(ConceptDataset, published), select, spec)
    leave_table("few-shot-draws", _draw_rows(drawn), "Few-shot draws and the concepts of each.")
    return at.store.save(drawn, STAGE.recipe())


def _draw_rows(drawn: FewShotDraws) -> list[dict[str, object]]:
    return [
        {
            "shots": "all" if draw.shots is None else draw.shots,
            "seed": draw.seed,
            "images": len(draw.image_ids),
            "concepts": len(draw.concept_ids),
        }
        for draw in drawn.draws
    ]
