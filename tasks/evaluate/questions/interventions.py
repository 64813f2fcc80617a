"""What do heads gain where a person corrects the concepts that were read wrong?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import get_args

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.evaluation import (
    InterventionCurve,
    InterventionOrder,
    Interventions,
)
from curette.schemas.images import Truth
from curette.schemas.probe import Head
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.labelled_concepts import LabelledConcepts, concept_heads
from curette.tasks.methods.features import known_features
from curette.tasks.methods.statistics.intervention import (
    ConceptReading,
    intervene,
    most_uncertain_first,
    most_weighted_first,
    random_order,
    read_concepts,
)

_ORDERS: tuple[InterventionOrder, ...] = get_args(InterventionOrder)
_RANDOM_ORDERS = 5  # averaged


def measure(exam: Exam) -> Interventions:
    """Return accuracy as labelled concepts are corrected, one after another.

    How a score looks where its concept is there, and where not, is learned from training and
    validation images, never by a function that was trained on the image; concepts that these show
    on all images, or on none, are left as they are.
    """
    labelled = LabelledConcepts.of(exam.published)
    made = Interventions(concepts=len(labelled.labels), not_computable=labelled.why_not)
    if labelled.why_not:
        return made
    # A hybrid's residual sees the image and not its concepts: corrections leave it as it is.
    hybrids = [h for h in exam.probe.heads if h.facts.inputs == "scores and vectors"]
    heads = (*concept_heads(exam.probe), *hybrids)
    parts = [_Corrected.of(exam, head, labelled) for head in heads]
    return made.model_copy(
        update={
            "read_wrong": parts[0].read_wrong,
            "curves": tuple(_curves(exam, parts)),
        }
    )


@dataclass(frozen=True, eq=False)
class _Corrected:
    """What one head says of the test images, and how its labelled concepts are read."""

    head: Head
    logits: Float64[np.ndarray, "image class"]
    scores: Float64[np.ndarray, "image labelled"]
    weights: Float64[np.ndarray, "class labelled"]
    reading: ConceptReading
    truth: Truth

    @classmethod
    def of(cls, exam: Exam, head: Head, labelled: LabelledConcepts) -> "_Corrected":
        published = exam.published
        seen = [published.concept_truth(split) for split in ("train", "validation")]
        reading = read_concepts(
            known_features(published, head)[:, labelled.places],
            np.concatenate([t.present for t in seen])[:, labelled.places],
            np.concatenate([t.known for t in seen])[:, labelled.places],
        )
        features = exam.features(head)
        return cls(
            head,
            logits=head.logits(features),
            scores=features[:, labelled.places],
            weights=head.weights[:, labelled.places],
            reading=reading,
            truth=labelled.truth,
        )

    @property
    def read_wrong(self) -> float:
        """The share of known concepts of images that is read wrong."""
        known = self.truth.known
        wrong = self.reading.wrong(self.scores, self.truth.present, known)
        return float(wrong.sum() / known.sum())


def _curves(exam: Exam, parts: Sequence[_Corrected]) -> Iterator[InterventionCurve]:
    """Yield a curve for each head and order; all of them see the same resamples."""
    drawn = [(part, order, _right(exam, part, order)) for part in parts for order in _ORDERS]
    right = np.hstack([steps for _, _, steps in drawn])

    def accuracy(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample step"]:
        return np.asarray(weights @ right / weights.sum(1, keepdims=True))

    points = iter(exam.estimates(accuracy))
    for part, order, steps in drawn:
        of_curve = islice(points, steps.shape[1])
        yield InterventionCurve(
            head=part.head.facts.name,
            head_kind=part.head.facts.kind,
            order=order,
            accuracy=tuple(p for p in of_curve if p is not None),
        )


def _right(
    exam: Exam, part: _Corrected, order: InterventionOrder
) -> Float64[np.ndarray, "image step"]:
    """Return how surely each image is decided right after 0, 1, .. of its concepts."""
    corrected = part.reading.correct(part.scores, part.truth.present, part.truth.known)
    return np.mean(
        [
            intervene(part.logits, part.weights, part.scores, corrected, places, exam.images.labels)
            for places in _orders(part, order, exam.spec.seed)
        ],
        axis=0,
    )


def _orders(
    part: _Corrected, order: InterventionOrder, seed: int
) -> list[Int[np.ndarray, "image labelled"]]:
    """Return in which order concepts are corrected, several times where chance has a part in it."""
    if order == "most uncertain first":
        return [most_uncertain_first(part.reading.probability(part.scores))]
    if order == "most weighted first":
        return [most_weighted_first(part.weights, part.logits.argmax(1))]
    images, concepts = part.scores.shape
    return [random_order(images, concepts, seed + draw) for draw in range(_RANDOM_ORDERS)]
