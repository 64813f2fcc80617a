"""A linear discriminant on the scores of the draw's concepts.

It is the head by which `select` says how many concepts are enough, so few concepts are judged by
what decides with them. Validation log loss chooses how far their covariance is shrunk.
"""

import torch
from jaxtyping import Float64, Int
from torch import Tensor
from torch.nn.functional import pad

from curette.tasks.methods.solvers.head_batch import (
    SHRINKAGES,
    HeadBatch,
    shrinkage_discriminants,
)
from curette.tasks.methods.solvers.linear import LinearHead, column_standardisation
from curette.tasks.probe.draws import Draws, Fitted, Images


def fit(draws: Draws) -> Fitted:
    """Train it on the drawn images."""
    known = draws.images.validation_labels.expand(len(draws.rows), -1)
    return fit_to(draws, draws.labels, known)


def fit_to(
    draws: Draws,
    labels: Int[Tensor, "draw shot"],
    validation_labels: Int[Tensor, "draw validation"],
) -> Fitted:
    """Train it on these labels."""
    images, scores = draws.images, draws.scores
    most = scores.vectors.shape[1]
    weights, bias, chosen = [], [], []
    for i, concepts in enumerate(draws.concepts):
        own = len(concepts.rows)
        head, shrinkage = discriminate(
            images,
            images.vectors @ concepts.vectors.T,
            scores.drawn[i, :, :own],
            labels[i],
            scores.validation[i, :, :own],
            validation_labels[i],
        )
        weights.append(pad(head.weights, (0, most - own)))
        bias.append(head.bias)
        chosen.append({"shrinkage": shrinkage})
    return Fitted(draws, HeadBatch(torch.stack(weights), torch.stack(bias)), tuple(chosen))


def discriminate(
    images: Images,
    every_score: Float64[Tensor, "image concept"],
    scores: Float64[Tensor, "shot concept"],
    labels: Int[Tensor, " shot"],
    validation_scores: Float64[Tensor, "validation concept"],
    validation_labels: Int[Tensor, " validation"],
) -> tuple[LinearHead, float]:
    """Return the discriminant on one set of scores, and its shrinkage.

    Args:
        images: how heads are trained on them.
        every_score: of all training images, which scale each concept, whatever was drawn.
        scores: of the drawn images.
        labels: theirs.
        validation_scores: choose the shrinkage.
        validation_labels: theirs.
    """
    scaling = column_standardisation(every_score)
    found = shrinkage_discriminants(
        scaling.apply(scores),
        labels,
        torch.arange(len(scores))[None],
        images.class_count,
        scaling.apply(validation_scores),
        validation_labels,
        class_weight=images.spec.class_weight,
    )
    return scaling.fold(found.head(0)), SHRINKAGES[int(found.index[0])]
