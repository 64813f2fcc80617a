"""A head on image vectors that is pulled to the signs of the draw's concepts."""

import torch
from torch.nn.functional import pad

from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.linear import LinearHead
from curette.tasks.methods.solvers.prior import (
    Tried,
    fold_batch,
    prior_answer,
    train_pulled_heads,
)
from curette.tasks.probe.draws import Draws, Fitted


def fit(draws: Draws) -> Fitted:
    """Pull each draw's head to what the prior answers by its concepts."""
    images, weights, bias = draws.images, [], []
    most = draws.scores.vectors.shape[1]
    for i, concepts in enumerate(draws.concepts):
        answer = prior_answer(images.vectors @ concepts.vectors.T, concepts.signs)
        on_vectors = LinearHead(answer.weights @ concepts.vectors, answer.bias)
        pull, residual = pulled(draws.some(slice(i, i + 1)), on_vectors)
        on_scores = pad(pull[:, None, None] * answer.weights, (0, most - len(concepts.rows)))
        weights.append(torch.cat([on_scores, residual.weights], 2))
        bias.append(pull[:, None] * answer.bias + residual.bias)
    return Fitted(draws, HeadBatch(torch.cat(weights), torch.cat(bias)))


def pulled(draws: Draws, prior: LinearHead) -> tuple[torch.Tensor, HeadBatch]:
    """Return how far each draw is pulled to a prior on image vectors, and what images add to it."""
    images = draws.images
    heads = train_pulled_heads(
        images.features,
        images.labels,
        draws.rows,
        prior.logits(images.vectors),
        images.validation_features,
        prior.logits(images.validation_vectors),
        images.validation_labels,
        Tried(class_weight=images.spec.class_weight),
    )
    return heads.pull, fold_batch(images.scaling, heads.residual)
