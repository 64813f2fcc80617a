"""What the screen may know of the images: vectors and attributes of the training split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset, Truth
from curette.tasks.screen.labelling import Form, decided_statements

MOST_IMAGES = 20_000
"""Of a larger split every so manieth image is looked at; shares need no more."""


@dataclass(frozen=True)
class TrainingImages:
    """Training images without their labels."""

    vectors: Float32[np.ndarray, "image dim"]
    truths: Mapping[Form, Truth]
    """Form of a statement that some ground truth decides -> on which images it is true."""
    classes: int
    """How many classes the study has."""


def training_images(dataset: ImageDataset, vectors: ImageEmbeddings) -> TrainingImages:
    """Return the training split; no image of another split is looked at."""
    rows = dataset.rows("train")
    rows = rows[:: max(1, -(-len(rows) // MOST_IMAGES))]
    ids = dataset.images["image_id"].to_numpy()[rows]
    return TrainingImages(
        vectors=np.asarray(vectors.take(list(ids)), dtype=np.float32),
        truths={
            form: decided.truth(dataset.attribute(decided.attribute))[rows]
            for form, decided in decided_statements(dataset.attribute_phrases).items()
        },
        classes=len(dataset.classes),
    )
