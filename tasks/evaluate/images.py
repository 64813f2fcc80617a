"""Test images with their labels: the one place where the two are joined."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import METADATA, TestLabels


@dataclass(frozen=True, eq=False)
class ExaminedImages:
    """The test images with their labels."""

    ids: tuple[str, ...]
    labels: Int[np.ndarray, " image"]
    groups: Shaped[np.ndarray, " image"]
    """Images that are not independent share one."""
    metadata: pd.DataFrame
    """One row an image; the columns' prefix is gone."""
    class_keys: tuple[str, ...]


def join_test_labels(published: ConceptDataset, test: TestLabels) -> ExaminedImages:
    """Return the test images with their labels."""
    images = published.images.iloc[published.rows("test")]
    order = {key: i for i, key in enumerate(published.class_keys)}
    ids = tuple(str(i) for i in images["image_id"])
    metadata = images[[c for c in images.columns if c.startswith(METADATA)]]
    return ExaminedImages(
        ids=ids,
        labels=np.array([order[test.labels[i]] for i in ids], dtype=np.int64),
        groups=images["group"].to_numpy(),
        metadata=metadata.rename(columns=lambda name: name.removeprefix(METADATA)),
        class_keys=published.class_keys,
    )
