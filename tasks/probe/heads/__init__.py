"""Every kind of head: one file and one line each. Cards are in `schemas/heads.py`.

`fit(draws)` trains one head a draw, all of them together, and raises `NotTrainable` where these
images or concepts cannot give it. All images are one draw, so there is no other way to train.
"""

from collections.abc import Callable

from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import (
    averaged_linear_probe,
    borrowed,
    concept_bottleneck,
    concept_matrix,
    grounded,
    hybrid,
    labo,
    linear_probe,
    majority,
    nearest_mean,
    prior,
    pulled_hybrid,
    random_borrowed,
    random_concepts,
    random_directions,
    random_sparse,
    shrinkage_discriminant,
    shuffled_labels,
    shuffled_prior,
    sparse,
    zero_shot,
)

TRAINERS: dict[str, Callable[[Draws], Fitted]] = {
    "linear_probe": linear_probe.fit,
    "concept_bottleneck": concept_bottleneck.fit,
    "labo": labo.fit,
    "sparse": sparse.fit,
    "hybrid": hybrid.fit,
    "prior": prior.fit,
    "pulled_hybrid": pulled_hybrid.fit,
    "grounded": grounded.fit,
    "borrowed": borrowed.fit,
    "zero_shot": zero_shot.fit,
    "concept_matrix": concept_matrix.fit,
    "averaged_linear_probe": averaged_linear_probe.fit,
    "nearest_mean": nearest_mean.fit,
    "shrinkage_discriminant": shrinkage_discriminant.fit,
    "random_concepts": random_concepts.fit,
    "random_directions": random_directions.fit,
    "random_borrowed": random_borrowed.fit,
    "shuffled_prior": shuffled_prior.fit,
    "shuffled_labels": shuffled_labels.fit,
    "majority": majority.fit,
}
AT_NEC: dict[str, Callable[[Draws, int, int], Fitted]] = {
    "sparse": sparse.at_nec,
    "random_sparse": random_sparse.at_nec,
}
"""Heads at a number of effective concepts: of draws, which of them, and the number."""
