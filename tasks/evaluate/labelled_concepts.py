"""The selected concepts whose truth is known on test images, and the heads that weigh concepts."""

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import card_of
from curette.schemas.images import Truth
from curette.schemas.probe import Head, Heads
from curette.schemas.screened import LabelledConcept


@dataclass(frozen=True, eq=False)
class LabelledConcepts:
    """The selected concepts that ground truth decides, on the test images."""

    places: Int[np.ndarray, " labelled"]
    """Among the selected concepts."""
    labels: tuple[LabelledConcept, ...]
    truth: Truth
    """image x labelled"""

    @classmethod
    def of(cls, published: ConceptDataset) -> "LabelledConcepts":
        """Look up the truth about the test images."""
        decided = {x.concept_id: x for x in published.facts.labelled}
        places = [i for i, c in enumerate(published.concepts) if c.concept_id in decided]
        truth = published.concept_truth("test")
        return cls(
            places=np.array(places, dtype=np.int64),
            labels=tuple(decided[published.concepts[i].concept_id] for i in places),
            truth=Truth(truth.present[:, places], truth.known[:, places]),
        )

    def among(self, published: ConceptDataset, concept_ids: Set[str]) -> "LabelledConcepts":
        """Return those of them that have one of these ids."""
        kept = [
            j
            for j, place in enumerate(self.places)
            if published.concepts[place].concept_id in concept_ids
        ]
        return LabelledConcepts(
            places=self.places[kept],
            labels=tuple(self.labels[j] for j in kept),
            truth=Truth(self.truth.present[:, kept], self.truth.known[:, kept]),
        )

    @property
    def why_not(self) -> str:
        """Why nothing can be computed; empty where something can."""
        if not self.labels:
            return (
                "no selected concept is decided by ground truth; name true/false columns, and the "
                "statements that claim them, under `dataset.attributes`, or have reports annotated"
            )
        if not self.truth.known.any():
            return "the ground truth about every labelled concept is missing on all test images"
        return ""


def concept_heads(probe: Heads) -> tuple[Head, ...]:
    """Return the heads with one weight a selected concept, the first of each kind."""
    kinds = dict.fromkeys(h.facts.kind for h in probe.heads)
    return tuple(probe.head(kind) for kind in kinds if card_of(kind).weighs_concepts)
