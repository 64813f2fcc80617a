"""Another study of the store, as far as its labelled images teach this one."""

from dataclasses import dataclass

from curette.schemas.annotations import Annotations
from curette.schemas.artifact import Ref
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset


@dataclass(frozen=True)
class Lender:
    """What the heads are given of it: nothing of its statements, which teach them nothing."""

    name: str
    dataset: Ref[ImageDataset]
    vectors: Ref[ImageEmbeddings]
    annotations: Ref[Annotations] | None = None
    """None where no model read its reports or looked at its images."""
