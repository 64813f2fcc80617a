"""Image datasets of a few rows."""

from typing import Any

import pandas as pd

from curette.schemas.artifact import Ref
from curette.schemas.images import REQUIRED_COLUMNS, ClassLabel, ImageDataset, TestLabels

TWO_CLASSES = (ClassLabel(key="a", name="a"), ClassLabel(key="b", name="b"))


def image_dataset(images: pd.DataFrame | None = None, **fields: Any) -> ImageDataset:
    """Return a dataset of these images, or of none; what is not given is of no interest."""
    usual: dict[str, Any] = {
        "classes": TWO_CLASSES,
        "rejected": (),
        "root": "",
        "source": "by hand",
        "synthetic": True,
        "class_counts": {},
        "test_labels": Ref(TestLabels.kind, "0" * 20),
    }
    empty = pd.DataFrame({c: pd.Series(dtype="object") for c in REQUIRED_COLUMNS})
    return ImageDataset(images=empty if images is None else images, **(usual | fields))
