"""The stage `few_shot_heads`: few-shot draws in, every head of every draw out.

What all images trained is taken from the probe.
"""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraws, FewShotHeads
from curette.schemas.probe import Probe
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe import FEW_SHOT_HEADS as STAGE
from curette.tasks.stage import Workplace, leave_markdown


@STAGE.task
def train_few_shot_heads(
    at: Workplace,
    published: Ref[ConceptDataset],
    draws: Ref[FewShotDraws],
    probe: Ref[Probe],
    spec: FewShotSpec,
    settings: ProbeSpec,
) -> Ref[FewShotHeads]:
    """Train the heads and baselines of each draw; what is chosen is chosen on validation images."""
    from curette.tasks.probe.few_shots import train_few_shot_heads

    heads = train_few_shot_heads(
        at.store.load(ConceptDataset, published),
        at.store.load(FewShotDraws, draws),
        spec,
        settings,
        at.store.load(Probe, probe),
    )
    leave_markdown("few-shot-heads", f"{len(heads.heads)} heads of {len(heads.seeds)} draws")
    return at.store.save(heads, STAGE.recipe())
