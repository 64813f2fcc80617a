"""The bottleneck on grounded scores: concepts with labels are found by classifiers, not by text."""

from collections.abc import Sequence

import torch

from curette.schemas.probe import GroundedConcept
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.grounding import GroundedScores, Grounding
from curette.tasks.probe.heads import concept_bottleneck


def fit(draws: Draws) -> Fitted:
    """Train it on functions where training images can ground a concept, elsewhere on text.

    Functions are trained on all training images, so that only a draw of all of them can have it.
    """
    grounding = draws.images.once(Grounding.of)
    learned = grounding.learned
    return fit_on(draws, [learned], learned.train[None], grounding.concepts)


def fit_on(
    draws: Draws,
    scores: Sequence[GroundedScores],
    train_features: torch.Tensor | None = None,
    concepts: tuple[GroundedConcept, ...] = (),
) -> Fitted:
    """Train it on one set of scores a draw."""
    images = draws.images
    made = [
        concept_bottleneck.discriminate(
            images, s.train, s.train, labels, s.validation, images.validation_labels
        )
        for s, labels in zip(scores, draws.labels, strict=True)
    ]
    return Fitted(
        draws,
        HeadBatch(
            torch.stack([h.weights for h, _ in made]), torch.stack([h.bias for h, _ in made])
        ),
        tuple({"shrinkage": shrinkage} for _, shrinkage in made),
        directions=torch.stack([s.directions for s in scores]),
        train_features=train_features,
        grounding=concepts,
    )
