"""The stage `shift_heads`: what shifts train on in, the heads of every shift out."""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.shifts import ShiftHeads, ShiftSplits
from curette.tasks.probe import SHIFT_HEADS as STAGE
from curette.tasks.stage import Workplace, leave_markdown


@STAGE.task
def train_shift_heads(
    at: Workplace,
    published: Ref[ConceptDataset],
    shifts: Ref[ShiftSplits],
    spec: ProbeSpec,
) -> Ref[ShiftHeads]:
    """Train the heads and baselines of each shift on its own images."""
    from curette.tasks.probe.shifts import train_shift_heads

    heads = train_shift_heads(
        at.store.load(ConceptDataset, published), at.store.load(ShiftSplits, shifts), spec
    )
    leave_markdown(
        "shift-heads",
        f"{sum(len(p.heads) for p in heads.probes)} heads of {len(heads.probes)} shifts",
    )
    return at.store.save(heads, STAGE.recipe())
