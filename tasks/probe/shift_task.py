"""The stage `shift_heads`: what shifts train on in, the heads of every shift out."""

from prefect import task

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.shifts import ShiftHeads, ShiftSplits
from curette.storage.store import ArtifactStore
from curette.tasks.stage import Stage, leave_markdown

STAGE = Stage(name="shift_heads", folder="probe")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def train_shift_heads(
    published: Ref[ConceptDataset],
    shifts: Ref[ShiftSplits],
    spec: ProbeSpec,
    store: ArtifactStore,
) -> Ref[ShiftHeads]:
    """Train the heads and baselines of each shift on its own images."""
    from curette.tasks.probe.shift_heads import train_shift_heads

    heads = train_shift_heads(
        store.load(ConceptDataset, published), store.load(ShiftSplits, shifts), spec
    )
    leave_markdown(
        "shift-heads",
        f"{sum(len(p.heads) for p in heads.probes)} heads of {len(heads.probes)} shifts",
    )
    return store.save(heads, STAGE.recipe(spec, published=published, shifts=shifts))
