"""The stage `few_shots`: few images a class, drawn again and again from what is published.

Each draw selects concepts for itself.
"""

from prefect import task

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraws
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.select import SelectSpec
from curette.storage.store import ArtifactStore
from curette.tasks.stage import Stage, leave_table

STAGE = Stage(name="few_shots", folder="draw")


@task(
    name=STAGE.name,
    cache_policy=STAGE,
    persist_result=True,
    result_serializer="json",
)
def draw_few_shots(
    published: Ref[ConceptDataset], select: SelectSpec, spec: FewShotSpec, store: ArtifactStore
) -> Ref[FewShotDraws]:
    """Draw few training images again and again; each draw chooses its concepts by itself."""
    from curette.tasks.draw.few_shots import draw_few_shots

    drawn = draw_few_shots(store.load(ConceptDataset, published), select, spec)
    leave_table("few-shot-draws", _draw_rows(drawn), "Few-shot draws and the concepts of each.")
    settings = spec.model_dump(mode="json") | {"select": select.model_dump(mode="json")}
    return store.save(drawn, STAGE.recipe(settings, published=published))


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
