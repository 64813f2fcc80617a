"""The stage `few_shot_heads`: few-shot draws in, every head of every draw out.

What all images trained is taken from the probe.
"""

from prefect import task

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraws, FewShotHeads, FewShotSpec
from curette.schemas.probe import Probe, ProbeSpec
from curette.storage.store import ArtifactStore
from curette.tasks.stage import Stage, leave_markdown

STAGE = Stage(name="few_shot_heads", folder="probe")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def train_few_shot_heads(
    published: Ref[ConceptDataset],
    draws: Ref[FewShotDraws],
    probe: Ref[Probe],
    spec: FewShotSpec,
    settings: ProbeSpec,
    store: ArtifactStore,
) -> Ref[FewShotHeads]:
    """Train the heads and baselines of each draw; what is chosen is chosen on validation images."""
    from curette.tasks.probe.few_shots import train_few_shot_heads

    heads = train_few_shot_heads(
        store.load(ConceptDataset, published),
        store.load(FewShotDraws, draws),
        spec,
        settings,
        store.load(Probe, probe),
    )
    leave_markdown("few-shot-heads", f"{len(heads.heads)} heads of {len(heads.seeds)} draws")
    said = spec.model_dump(mode="json") | {"probe": settings.model_dump(mode="json")}
    return store.save(heads, STAGE.recipe(said, published=published, draws=draws, probe=probe))
