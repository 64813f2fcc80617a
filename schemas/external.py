"""A second dataset: heads are trained on the study's own images and measured on these as well."""

from dataclasses import dataclass

from curette.schemas.artifact import Ref
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.settings.evaluate import Answer


@dataclass(frozen=True)
class ExternalImages:
    """What the evaluation is given of an external dataset."""

    name: str
    dataset: Ref[ImageDataset]
    """Taken in beside the study's own, whose classes it has."""
    vectors: Ref[ImageEmbeddings]
    pretraining_covers: Answer
    near_duplicate_cosine: float
    """From which on two images count as near-duplicates."""
