"""The stage `few_shot_heads`: few-shot draws in, every head of every draw out."""

from prefect import task

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraws, FewShotHeads
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.storage.store import ArtifactStore
from curette.tasks.stage import Stage, leave_markdown

STAGE = Stage(name="few_shot_heads", folder="probe")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def train_few_shot_heads(
    published: Ref[ConceptDataset],
    draws: Ref[FewShotDraws],
    spec: FewShotSpec,
    probe: ProbeSpec,
    store: ArtifactStore,
) -> Ref[FewShotHeads]:
    """Train the heads and baselines of each draw; what is chosen is chosen on validation images."""
    from curette.tasks.probe.few_shot_heads import train_few_shot_heads

    heads = train_few_shot_heads(
        store.load(ConceptDataset, published), store.load(FewShotDraws, draws), spec, probe
    )
    leave_markdown("few-shot-heads", f"{len(heads.heads)} heads of {len(heads.seeds)} draws")
    settings = spec.model_dump(mode="json") | {"probe": probe.model_dump(mode="json")}
    return store.save(heads, STAGE.recipe(settings, published=published, draws=draws))
