"""The study's images as a further encoder sees them, and what its heads say of them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.heads import EXPLAINED, HeadKind
from curette.schemas.images import Split
from curette.schemas.probe import Heads
from curette.tasks.methods.features import features_of
from curette.tasks.methods.statistics.calibration import at_temperature


@dataclass(frozen=True, eq=False)
class FurtherEncoder:
    """What a question is asked of beside the study's own encoder."""

    name: str
    identity: EncoderIdentity
    vectors: Float32[np.ndarray, "image dim"]
    """Of all images, in the order of the published dataset."""
    heads: Heads

    def has(self, kind: HeadKind) -> bool:
        """Return whether there is a head of a kind."""
        return any(head.facts.kind == kind for head in self.heads.heads)

    @property
    def concepts(self) -> int:
        """How many selected concepts it has a vector of."""
        return len(self.heads.head(EXPLAINED).facts.candidates) if self.has(EXPLAINED) else 0

    def scores(
        self, published: ConceptDataset, split: Split
    ) -> tuple[list[int], Float64[np.ndarray, "image concept"]]:
        """Return the places of the selected concepts that it scores, and its scores of a split."""
        if not self.has(EXPLAINED):
            return [], np.zeros((len(published.rows(split)), 0))
        head = self.heads.head(EXPLAINED)
        place = {c.concept_id: i for i, c in enumerate(published.concepts)}
        scores = features_of(published, head, self.vectors[published.rows(split)])
        return [place[c.concept_id] for c in head.facts.candidates], scores

    def probabilities(
        self, published: ConceptDataset, kind: HeadKind, split: Split = "test"
    ) -> Float64[np.ndarray, "image class"]:
        """Return what its head of a kind answers of a split's images."""
        head = self.heads.head(kind)
        rows = published.rows(split)
        return at_temperature(head.logits(features_of(published, head, self.vectors[rows])), 1.0)
