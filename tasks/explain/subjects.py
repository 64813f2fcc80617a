"""The images that are explained, and what is known of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32
from PIL import Image

from curette.schemas.concept_dataset import ConceptDataset
from curette.tasks.methods.explanation import printable

if TYPE_CHECKING:
    import pandas as pd

Nearest = Callable[[Float32[np.ndarray, " dim"]], tuple[int, float]]
"""From a vector to the row of the dataset's image that is most like it, and their cosine."""


@dataclass(frozen=True)
class Subject:
    """An image that is explained."""

    title: str
    about: str
    """One sentence on what is known of it."""
    vector: Float32[np.ndarray, " dim"]
    group: str | None
    """Of an image of the dataset."""
    pixels: Image.Image | None
    """None where they are not to be had."""


def subject_of_dataset(
    published: ConceptDataset, image_id: str, pixels: Image.Image | None
) -> Subject:
    """Return an image of the dataset; its label is told unless it is a test image's."""
    row = published.images["image_id"].tolist().index(image_id)
    image = published.images.iloc[row]
    about = f"{_known(published, image)}."
    return Subject(
        printable(image_id),
        about[0].upper() + about[1:],
        published.vectors[row],
        image["group"],
        pixels,
    )


def subject_of_file(
    published: ConceptDataset,
    name: str,
    sha256: str,
    vector: Float32[np.ndarray, " dim"],
    pixels: Image.Image,
    nearest: Nearest,
    alike: float,
) -> Subject:
    """Return a new image, with what the dataset knows of the same image or of one like it.

    Args:
        published: the dataset.
        name: of the file.
        sha256: of its bytes, as the study would keep them.
        vector: by the dataset's encoder.
        pixels: as the encoder reads them.
        nearest: asked where no image of the dataset has the same bytes.
        alike: the cosine from which on two images are called almost the same.
    """
    same = published.images[published.images["sha256"] == sha256]
    about, group = "A new image: none of the dataset's has its bytes", None
    if len(same):
        row = same.iloc[0]
        group = row["group"]
        about = f"Its bytes are those of {printable(row['image_id'])}, {_known(published, row)}"
    elif (found := nearest(vector))[1] >= alike:
        row = published.images.iloc[found[0]]
        about += (
            f"; but it is a near-duplicate of {printable(row['image_id'])} "
            f"(cosine {found[1]:.4f}), {_known(published, row)}"
        )
    return Subject(printable(name), f"{about}.", vector, group, pixels)


def _known(published: ConceptDataset, row: "pd.Series") -> str:
    """Return an image's split and, outside the test split, its label."""
    if row["split"] == "test":
        return "test split, its label is held out"
    names = {c.key: c.name for c in published.facts.classes}
    said = f"{row['split']} split, labelled {printable(names[row['label']])}"
    return said + ("; the head was trained on it" if row["split"] == "train" else "")
