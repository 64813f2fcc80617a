"""Which concepts are worth a look before a head is edited: what tells of what should not count.

What a concept tells of a metadata column is looked at among images of one class, since the data may
have class and column go together; and it counts as much as the head weighs the concept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import METADATA
from curette.schemas.probe import Head
from curette.tasks.methods.selection.avoidance import told_within_classes

WORTH_A_LOOK = 0.1
"""Share told from which on an edit may help. On the demo neutralising a concept that tells 60 % of
its column helps, and one that tells 2 % does harm (docs/results.md); between them it is a guess."""
_MOST_LEVELS = 10  # of a metadata column that a concept may tell of


@dataclass(frozen=True)
class Proposal:
    """One concept of a head, and what it tells of the column that it tells most of."""

    place: int
    """Among the head's concepts."""
    column: str
    """Of the metadata; empty where it tells of none."""
    told: float
    """Share of the variance within classes, 0 to 1."""
    weights: Float64[np.ndarray, " class"]
    """What the head weighs it, minus the mean over classes."""


def propose_edits(published: ConceptDataset, head: Head) -> tuple[Proposal, ...]:
    """Return every concept of a head, those first that tell most, times how much they weigh.

    Args:
        published: its training images are looked at.
        head: on concept scores.
    """
    train = published.rows("train")
    rows = published.pool_rows(c.concept_id for c in head.facts.candidates)
    concepts = published.pool_vectors[rows].astype(np.float64)
    vectors, labels = published.vectors[train], published.labels("train")
    most, which = np.zeros(len(concepts)), [""] * len(concepts)
    for name, levels in _columns(published.images.iloc[train]):
        told = told_within_classes(concepts, vectors, labels, len(published.class_keys), levels)
        for j in np.flatnonzero(told > most):
            most[j], which[j] = told[j], name
    weights = head.weights[:, : len(concepts)]
    centred = weights - weights.mean(axis=0)
    risk = most * np.abs(centred).max(axis=0) * (vectors @ concepts.T).std(axis=0)
    return tuple(
        Proposal(place=j, column=which[j], told=float(most[j]), weights=centred[:, j])
        for j in np.argsort(-risk, kind="stable").tolist()
    )


def _columns(images: pd.DataFrame) -> Iterator[tuple[str, Int[np.ndarray, " image"]]]:
    """Yield the metadata columns of few values: name, and each image's value as a number."""
    for column in images.columns:
        if column.startswith(METADATA):
            levels, values = pd.factorize(images[column])
            if 1 < len(values) <= _MOST_LEVELS:
                yield column.removeprefix(METADATA), levels
