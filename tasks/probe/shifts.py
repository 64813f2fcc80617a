"""Training heads on what a shift leaves of a dataset."""

from dataclasses import replace

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.shifts import ShiftHeads, ShiftSplit, ShiftSplits
from curette.tasks.probe.training import train_heads

_RANDOM_DRAWS = 2


def train_shift_heads(
    published: ConceptDataset, shifts: ShiftSplits, spec: ProbeSpec
) -> ShiftHeads:
    """Train heads on each shift's images by the study's own settings.

    Those that the study wants of sparse, prior and hybrid, and as baselines zero-shot, shuffled
    labels, random concepts (two draws of each) and the majority class; nothing at fixed numbers of
    effective concepts. No image trains the zero-shot head, so its gap is that of the test images.
    """
    fewer = {
        "nec": (),
        "random_draws": min(_RANDOM_DRAWS, spec.random_draws),
    }
    chosen = spec.model_copy(update=fewer)
    return ShiftHeads(
        plans=tuple(split.plan for split in shifts.splits),
        probes=tuple(
            train_heads(restrict(published, split), chosen, "shifts") for split in shifts.splits
        ),
        unusable=shifts.unusable,
    )


def restrict(published: ConceptDataset, split: ShiftSplit) -> ConceptDataset:
    """Return the dataset as if it had the shift's images and concepts alone, and no test image."""
    kept = published.images["image_id"].isin([*split.train_ids, *split.validation_ids]).to_numpy()
    selected = published.pool_rows(concept.concept_id for concept in split.concepts)
    vectors = published.vectors[kept]
    return replace(
        published,
        images=published.images[kept].reset_index(drop=True),
        vectors=vectors,
        scores=vectors @ published.pool_vectors[selected].T,
        concepts=split.concepts,
    )
