"""The stage `shift_heads`: what shifts train on in, the heads of every shift out."""

from prefect import task

from schemas.artifact import Ref
from schemas.concept_dataset import ConceptDataset
from schemas.probe import ProbeSpec
from schemas.shifts import ShiftHeads, ShiftSplits
from storage.store import ArtifactStore
from tasks.stage import Stage, leave_markdown

STAGE = Stage(name="shift_heads", folder="probe")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def train_shift_heads(
    published: Ref[ConceptDataset],
    shifts: Ref[ShiftSplits],
    spec: ProbeSpec,
    store: ArtifactStore,
) -> Ref[ShiftHeads]:
    """Train the heads and baselines of each shift on its own images."""
    from tasks.probe.shift_heads import train_shift_heads

    heads = train_shift_heads(
        store.load(ConceptDataset, published), store.load(ShiftSplits, shifts), spec
    )
    leave_markdown(
        "shift-heads",
        f"{sum(len(p.heads) for p in heads.probes)} heads of {len(heads.probes)} shifts",
    )
    return store.save(heads, STAGE.recipe(spec, published=published, shifts=shifts))
