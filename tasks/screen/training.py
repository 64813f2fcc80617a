"""What the screen may know of the images: vectors and attributes of the training split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from schemas.embeddings import ImageEmbeddings
from schemas.images import ImageDataset

MOST_IMAGES = 20_000
"""Of a larger split every so manieth image is looked at; shares need no more."""


@dataclass(frozen=True)
class TrainingImages:
    """Training images without their labels."""

    vectors: Float32[np.ndarray, "image dim"]
    attributes: Mapping[str, Bool[np.ndarray, " image"]]
    """Name -> whether each image has it."""
    classes: int
    """How many classes the study has."""


def training_images(dataset: ImageDataset, vectors: ImageEmbeddings) -> TrainingImages:
    """Return the training split; no image of another split is looked at."""
    rows = dataset.rows("train")
    rows = rows[:: max(1, -(-len(rows) // MOST_IMAGES))]
    ids = dataset.images["image_id"].to_numpy()[rows]
    return TrainingImages(
        vectors=np.asarray(vectors.take(list(ids)), dtype=np.float32),
        attributes={name: dataset.attribute(name)[rows] for name in dataset.attributes},
        classes=len(dataset.classes),
    )
