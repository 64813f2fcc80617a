"""A head on concept scores that is pulled to the signs; validation images weigh how strongly."""

from collections.abc import Sequence

import torch
from torch.nn.functional import pad

from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.prior import Tried, concept_metric, train_prior_heads
from curette.tasks.probe.draws import Concepts, Draws, Fitted, NotTrainable


def fit(draws: Draws) -> Fitted:
    """Pull each draw's head to the signs of its concepts."""
    return pull_to(draws, draws.concepts)


def pull_to(draws: Draws, believed: Sequence[Concepts]) -> Fitted:
    """Pull each draw's head to the signs of these concepts, its own but for the signs.

    Raises:
        NotTrainable: no draw has signs that differ between classes.
    """
    if not any(concepts.tell_classes_apart for concepts in believed):
        raise NotTrainable(
            "the priors say the same of every class; usually nobody was asked, or every concept "
            "was linked to all classes. Set `priors`."
        )
    images, most = draws.images, max(len(concepts.rows) for concepts in believed)
    heads = []
    for rows, concepts in zip(draws.rows, believed, strict=True):
        head = train_prior_heads(
            images.vectors @ concepts.vectors.T,
            images.labels,
            rows[None],
            concepts.signs,
            concept_metric(concepts.vectors),
            images.validation_vectors @ concepts.vectors.T,
            images.validation_labels,
            Tried(class_weight=images.spec.class_weight),
        ).head(0)
        heads.append((pad(head.weights, (0, most - len(concepts.rows))), head.bias))
    batch = HeadBatch(torch.stack([w for w, _ in heads]), torch.stack([b for _, b in heads]))
    return Fitted(draws, batch)
