"""What is told of a study's images elsewhere: what is known of each, and what is decided."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import ATTRIBUTE, METADATA
from curette.schemas.probe import Head
from curette.tasks.methods.features import head_features
from curette.tasks.methods.predictions import decide

_REASONS = 3
_OF_IMAGES = ("image_id", "split", "subject", "lesion", "group")


@dataclass(frozen=True)
class Shown:
    """One image."""

    file: str
    """Where its picture lies below the folder."""
    known: Mapping[str, Any]
    """Columns of the published table, `meta.*` and `attribute.*` among them, None where unknown;
    subjects and lesions by their pseudonyms. What is read from reports is not among them."""
    label: str | None
    """Class key; None where nobody told it: of test images only the evaluation does."""
    decided: str
    """Class key, by the head."""
    probability: float
    """Softmax of the logits, not calibrated."""
    reasons: tuple[str, ...]
    """The concepts that put the class ahead of the runner-up most."""
    scores: tuple[float, ...]
    """Of the dataset's concepts."""


def shown_images(
    published: ConceptDataset, head: Head, told: Mapping[str, str], files: Sequence[str]
) -> list[Shown]:
    """Return the images in the order of the table.

    Args:
        published: the dataset.
        head: on concept scores.
        told: test image -> class key, as far as the evaluation told.
        files: where the picture of each image lies.
    """
    made = decide(
        head.weights,
        head.bias,
        head.center,
        head_features(published, head, np.arange(len(published.images))),
        _REASONS,
    )
    table = known_table(published)
    labels = published.images["label"]
    keys, texts = published.class_keys, [c.text for c in head.facts.candidates]
    return [
        Shown(
            file=file,
            known=known,
            label=told.get(known["image_id"]) if known["split"] == "test" else label,
            decided=keys[made.decided[i]],
            probability=float(made.probability[i]),
            reasons=tuple(texts[j] for j in made.reasons[i] if j >= 0),
            scores=tuple(published.scores[i].tolist()),
        )
        for i, (file, known, label) in enumerate(zip(files, table.to_pylist(), labels, strict=True))
    ]


def known_table(published: ConceptDataset) -> pa.Table:
    """Return the columns that are told: texts, whole numbers, numbers, or true and false."""
    told = [c for c in published.images if str(c).startswith((METADATA, ATTRIBUTE))]
    named = [c for c in _OF_IMAGES if c in published.images]
    table = pa.Table.from_pandas(published.images[[*named, *told]], preserve_index=False)
    return table.cast(pa.schema([field.with_type(_plain(field.type)) for field in table.schema]))


def concept_fields(published: ConceptDataset, prefix: str) -> list[str]:
    """Return a name for a column about each concept: a prefix and the words of its text."""
    words = [re.findall(r"[^\W_]+", c.text.lower()) for c in published.concepts]
    names = [prefix + "_".join(each) for each in words]
    return [
        name if names.count(name) == 1 else f"{name}_{concept.concept_id}"
        for name, concept in zip(names, published.concepts, strict=True)
    ]


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_boolean(kind):
        return kind
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else pa.string()
