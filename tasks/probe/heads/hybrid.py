"""A residual on image vectors added to the sparse head (post-hoc CBM-h)."""

import torch

from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.hybrid import train_residuals
from curette.tasks.methods.solvers.prior import fold_batch
from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import sparse


def fit(draws: Draws) -> Fitted:
    """Train the residual of each draw's sparse head, which stands still.

    Told as chosen are the residual's l2 (missing where no residual was best) and the share of
    validation decisions that it flips.
    """
    images, scores, concepts = draws.images, draws.scores, draws.once(sparse.fit).heads
    strengths = sorted(set(images.spec.residual_l2_values), reverse=True)
    said = scores.validation @ concepts.weights.mT + concepts.bias[:, None]
    residuals = train_residuals(
        images.features[draws.rows],
        draws.labels,
        scores.drawn @ concepts.weights.mT + concepts.bias[:, None],
        images.validation_features,
        said,
        images.validation_labels,
        strengths,
        class_weight=images.spec.class_weight,
    )
    added = fold_batch(images.scaling, residuals.chosen())
    decided = (said + added.logits(images.validation_vectors)).argmax(2)
    flipped = (decided != said.argmax(2)).double().mean(1)
    chosen = tuple(
        {"flipped": float(share)} | ({"l2": strengths[best - 1]} if best else {})
        for share, best in zip(flipped, residuals.best.tolist(), strict=True)
    )
    weights = torch.cat([concepts.weights, added.weights], 2)
    return Fitted(draws, HeadBatch(weights, concepts.bias + added.bias), chosen)
