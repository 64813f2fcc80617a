"""What a head makes of concepts that a person corrects, alone and with what they tell of others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import Truth
from curette.schemas.probe import Head
from curette.tasks.methods.features import known_features
from curette.tasks.methods.statistics.intervention import ConceptReading, read_concepts
from curette.tasks.methods.statistics.joint_concepts import (
    MOST_EXACT,
    Beliefs,
    Looks,
    NormalConcepts,
    PairwiseConcepts,
    fit_normal,
    fit_pairwise,
)


@dataclass(frozen=True, eq=False)
class Readings:
    """How labelled concepts are read from scores, learned from training and validation images.

    The scores are those of images held out, so never by a function that was trained on the image.
    """

    scores: Float64[np.ndarray, "known labelled"]
    truth: Truth
    labels: Int[np.ndarray, " known"]
    groups: Shaped[np.ndarray, " known"]
    class_count: int
    _looked: dict[PairwiseConcepts, tuple[bytes, Looks]] = field(default_factory=dict)
    """The last looks by each model, and what they were taken at."""

    @cached_property
    def each(self) -> ConceptReading:
        """How each concept is read by its own score."""
        return read_concepts(self.scores, self.truth.present, self.truth.known)

    @cached_property
    def joint(self) -> PairwiseConcepts | NormalConcepts:
        """What concepts tell of each other."""
        if self.scores.shape[1] > MOST_EXACT:
            return fit_normal(self._evidence + self.each.log_odds, *self._truth)
        return self._pairwise(coupled=True)

    @cached_property
    def by_class(self) -> PairwiseConcepts | None:
        """The same with concepts that depend on each other by the class alone; None beyond 16."""
        exact = self.scores.shape[1] <= MOST_EXACT
        return self._pairwise(coupled=False) if exact else None

    def beliefs(
        self,
        scores: Float64[np.ndarray, "image labelled"],
        logits: Float64[np.ndarray, "image class"],
        weights: Float64[np.ndarray, "class labelled"],
        order: Int[np.ndarray, "image look"],
        truth: Truth,
    ) -> Beliefs:
        """Return what `joint` believes of images as their concepts are corrected.

        Args:
            scores: of the images.
            logits: what a head says of them.
            weights: the head's.
            order: which concept is looked at first, second, ...
            truth: what a look finds.
        """
        if isinstance(self.joint, PairwiseConcepts):
            return self.looks(self.joint, scores, order, truth).beliefs(logits)
        return self.joint.beliefs(
            self.each.evidence(scores) + self.each.log_odds,
            weights * self.each.score_per_log_odds,
            order,
            truth.present,
            truth.known,
        )

    def looks(
        self,
        model: PairwiseConcepts,
        scores: Float64[np.ndarray, "image labelled"],
        order: Int[np.ndarray, "image look"],
        truth: Truth,
    ) -> Looks:
        """Return what a model believes whatever the head; equal scores share one answer."""
        asked = b"".join(x.tobytes() for x in (scores, order, truth.present, truth.known))
        if model not in self._looked or self._looked[model][0] != asked:
            found = model.look(self.each.evidence(scores), order, truth.present, truth.known)
            self._looked[model] = asked, found
        return self._looked[model][1]

    def _pairwise(self, coupled: bool) -> PairwiseConcepts:
        return fit_pairwise(
            self._evidence,
            *self._truth,
            self.labels,
            self.groups,
            self.class_count,
            coupled=coupled,
        )

    @property
    def _evidence(self) -> Float64[np.ndarray, "known labelled"]:
        return self.each.evidence(self.scores)

    @property
    def _truth(
        self,
    ) -> tuple[Bool[np.ndarray, "known labelled"], Bool[np.ndarray, "known labelled"]]:
        return self.truth.present, self.truth.known


def read_labelled(
    published: ConceptDataset, heads: Sequence[Head], places: Int[np.ndarray, " labelled"]
) -> list[Readings]:
    """Return how each head's labelled concepts are read; heads on equal scores share one reading.

    Args:
        published: what the heads were trained on; its test images are not looked at.
        heads: with a score a selected concept.
        places: of the labelled ones among the selected.
    """
    seen = [published.concept_truth(split) for split in ("train", "validation")]
    rows = np.concatenate([published.rows("train"), published.rows("validation")])
    truth = Truth(
        np.concatenate([t.present for t in seen])[:, places],
        np.concatenate([t.known for t in seen])[:, places],
    )
    labels = np.concatenate([published.labels("train"), published.labels("validation")])
    groups = published.images["group"].to_numpy()[rows]
    made: dict[bytes, Readings] = {}
    readings = []
    for head in heads:
        scores = np.ascontiguousarray(known_features(published, head)[:, places])
        new = Readings(scores, truth, labels, groups, len(published.class_keys))
        readings.append(made.setdefault(scores.tobytes(), new))
    return readings
