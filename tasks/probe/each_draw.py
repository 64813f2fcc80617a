"""Training heads on each draw as if its images and concepts were all that there are."""

from dataclasses import replace

import numpy as np

from curette.schemas.candidates import Candidate
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import Concept
from curette.schemas.draws import Draw, Draws
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe.training import train_heads

_RANDOM_DRAWS = 2


def train(published: ConceptDataset, draws: Draws, spec: ProbeSpec) -> Heads:
    """Train heads on each draw by the study's own settings, and keep them one by one.

    Of what chance has a part in there are two draws each; nothing is trained at fixed numbers of
    effective concepts. Which heads take part, their cards say. No image trains the zero-shot head,
    so its gap under a shift is that of the test images.
    """
    fewer = {"nec": (), "random_draws": min(_RANDOM_DRAWS, spec.random_draws)}
    chosen = spec.model_copy(update=fewer)
    made = [train_heads(restrict(published, draw), chosen, draws.protocol) for draw in draws.draws]
    return Heads(
        class_keys=published.class_keys,
        heads=tuple(head.on(i) for i, of_draw in enumerate(made) for head in of_draw.heads),
        skipped=tuple(s.on(i) for i, of_draw in enumerate(made) for s in of_draw.skipped),
        protocol=draws.protocol,
        draws=draws.drawn,
        unusable=draws.unusable,
    )


def restrict(published: ConceptDataset, draw: Draw) -> ConceptDataset:
    """Return the dataset as if it had the draw's images and concepts alone, and no test image."""
    ids = published.images["image_id"]
    chooses = ids.isin(draw.validation_ids).to_numpy()
    kept = ids.isin(draw.image_ids).to_numpy() | chooses
    split = np.where(chooses, "validation", "train")
    selected = published.pool_rows(draw.concept_ids)
    vectors = published.vectors[kept]
    return replace(
        published,
        images=published.images.assign(split=split)[kept].reset_index(drop=True),
        vectors=vectors,
        scores=vectors @ published.pool_vectors[selected].T,
        concepts=tuple(_as_selected(published.pool[row]) for row in selected),
    )


def _as_selected(candidate: Candidate) -> Concept:
    """Return a candidate as a concept; what a selection says of it trains no head."""
    return Concept(
        concept_id=candidate.concept_id,
        text=candidate.text,
        classes=candidate.classes,
        selected_for=(),
        discriminability=0,
        origins=candidate.origins,
    )
