"""Another dataset beside the study's test images: what is said of it, and both as one table."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.external import ExternalImages
from curette.schemas.images import ImageDataset, Split, TestLabels
from curette.schemas.shifts import DatasetShift, ShiftPart, ShiftPartName, ShiftPlan
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.methods.alike.pairs import is_near

OWN = "own"


@dataclass(frozen=True, eq=False)
class OtherImages:
    """Another dataset's images and what is known of them before any of their labels is read."""

    shift: DatasetShift
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    vectors: Float32[np.ndarray, "image dim"]

    def with_readings(self, told: str) -> "OtherImages":
        """Return the same with what the ledger says of earlier readings of their labels."""
        return replace(self, shift=self.shift.model_copy(update={"readings": told}))


class ExternalTest(NamedTuple):
    """Another dataset's images and their labels."""

    images: OtherImages
    test: TestLabels


def describe_external(
    published: ConceptDataset,
    given: ExternalImages,
    dataset: ImageDataset,
    vectors: ImageEmbeddings,
) -> OtherImages:
    """Return another dataset's images and what is known of them before their labels are read.

    Raises:
        StudyError: its vectors are of another encoder, or its classes are not the study's.
    """
    if vectors.encoder != published.facts.encoder:
        raise StudyError(
            f"the external dataset {given.name} was embedded by {vectors.encoder.name} "
            f"({vectors.encoder.digest[:12]}), and the study's images by "
            f"{published.facts.encoder.name} ({published.facts.encoder.digest[:12]}), so no head "
            "can be asked about both. Usually the encoder or its file changed in between: run the "
            "study again."
        )
    if dataset.class_keys != published.class_keys:
        raise StudyError(
            f"the external dataset {given.name} was taken in beside other classes than those of "
            f"{published.facts.name}: {', '.join(dataset.class_keys)}. Run the study again."
        )
    ids = tuple(dataset.images["image_id"])
    of_images = published.seen(vectors.take(list(ids)))
    return OtherImages(
        shift=DatasetShift(
            name=given.name,
            source=dataset.source,
            synthetic=dataset.synthetic,
            rejected=dict(Counter(r.reason for r in dataset.rejected)),
            near_copies=int(
                is_near(published.vectors, of_images, given.near_duplicate_cosine).sum()
            ),
            near_copy_cosine=given.near_duplicate_cosine,
            pretraining_covers=given.pretraining_covers,
        ),
        ids=ids,
        groups=tuple(dataset.images["group"]),
        vectors=of_images,
    )


def join_external(
    own: ExaminedImages, external: ExternalTest
) -> tuple[ExaminedImages, Int[np.ndarray, " image"]]:
    """Return the study's test images, then the others, and which dataset each is of: 0 or 1.

    Ids and groups of the two may be called alike and are not the same.
    """
    order = {key: i for i, key in enumerate(own.class_keys)}
    other = external.images
    labels = np.array([order[external.test.labels[i]] for i in other.ids], dtype=np.int64)
    together = ExaminedImages(
        ids=(*(f"0/{i}" for i in own.ids), *(f"1/{i}" for i in other.ids)),
        labels=np.concatenate([own.labels, labels]),
        groups=np.array([*(f"0/{g}" for g in own.groups), *(f"1/{g}" for g in other.groups)]),
        metadata=pd.DataFrame(index=range(len(own.ids) + len(other.ids))),
        class_keys=own.class_keys,
    )
    return together, np.repeat([0, 1], [len(own.ids), len(other.ids)])


def plan_external(published: ConceptDataset, shift: DatasetShift) -> ShiftPlan:
    """Return what the shift comes to: trained and chosen on are all of the study's own images."""
    parts = []
    named: tuple[tuple[ShiftPartName, Split], ...] = (
        ("training", "train"),
        ("validation", "validation"),
    )
    for name, split in named:
        images = published.images[published.images["split"] == split]
        parts.append(
            ShiftPart(
                name=name,
                images=len(images),
                effective_images=len(images),
                groups=images["group"].nunique(),
                classes=images["label"].nunique(),
            )
        )
    return ShiftPlan(spec=shift, values=(OWN, shift.name), parts=tuple(parts))
