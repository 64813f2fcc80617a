"""What each head looks at, and what it looked at in training."""

import numpy as np
from jaxtyping import Float32, Float64, Int

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import Head, head_inputs


def head_features(
    published: ConceptDataset, head: Head, rows: Int[np.ndarray, " image"]
) -> Float64[np.ndarray, "image feature"]:
    """Return what a head looks at, such that `head.logits` of it is what the head says.

    Args:
        published: what the head was trained on.
        head: any head of the probe.
        rows: of the images.
    """
    return features_of(published, head, published.vectors[rows])


def features_of(
    published: ConceptDataset, head: Head, vectors: Float32[np.ndarray, "image dim"]
) -> Float64[np.ndarray, "image feature"]:
    """Return the same of any images, such as another dataset's, by their vectors."""
    of_text = published.pool_vectors[
        published.pool_rows(c.concept_id for c in head.facts.candidates)
    ]
    directions = of_text if head.directions is None else head.directions
    return head_inputs(head.facts.inputs, vectors, directions)


def known_features(
    published: ConceptDataset, head: Head
) -> Float64[np.ndarray, "train_and_validation feature"]:
    """Return what a head looks at of the training images, then of the validation images.

    Where its directions learned from the training images these are the features of images held
    out, as all later images are: those it was trained on.
    """
    train = head.train_features
    if train is None:
        train = head_features(published, head, published.rows("train"))
    return np.concatenate([train, head_features(published, head, published.rows("validation"))])
