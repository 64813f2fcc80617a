"""The probe stage: a published concept dataset in, trained heads out."""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import Probe
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe import STAGE
from curette.tasks.stage import Workplace, leave_table


@STAGE.task
def train_probe(
    at: Workplace,
    published: Ref[ConceptDataset],
    spec: ProbeSpec,
) -> Ref[Probe]:
    """Train the heads that the spec names, and their baselines."""
    from curette.tasks.probe.training import train_heads

    probe = train_heads(at.store.load(ConceptDataset, published), spec)
    leave_table("heads", _rows(probe), "Trained heads, as validation images see them.")
    return at.store.save(probe, STAGE.recipe())


def _rows(probe: Probe) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "head": facts.name,
            "effective concepts": round(facts.nec, 1),
            "chosen": ", ".join(f"{k} {v:g}" for k, v in facts.chosen.items()),
            "validation loss": round(facts.validation_loss, 4),
            "validation balanced accuracy": round(facts.validation_balanced_accuracy, 4),
        }
        for facts in (head.facts for head in probe.heads)
    ]
    return rows + [{"head": s.name, "chosen": f"skipped: {s.reason}"} for s in probe.skipped]
