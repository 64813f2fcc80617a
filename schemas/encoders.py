"""Further encoders of a study: the same images in other vectors, and the heads trained on these."""

from dataclasses import dataclass

from curette.schemas.artifact import Ref
from curette.schemas.embeddings import StudyEmbeddings
from curette.schemas.probe import Heads


@dataclass(frozen=True)
class EncoderHeads:
    """What the evaluation is given of a further encoder."""

    name: str
    embeddings: Ref[StudyEmbeddings]
    """The study's images, and those selected concepts that it has vectors of."""
    heads: Ref[Heads]
    """Trained on these, on the study's training images."""
