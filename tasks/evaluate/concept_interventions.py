"""What heads gain where a person corrects the concepts that were read wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float64, Int

from schemas.concept_dataset import ConceptDataset
from schemas.evaluation import EvaluateSpec, InterventionCurve, InterventionOrder, Interventions
from schemas.images import Truth
from schemas.probe import Head, HeadKind, Probe
from tasks.evaluate.bootstrap import ClusterBootstrap
from tasks.evaluate.concept_quality import LabelledConcepts, estimate
from tasks.evaluate.features import head_features, known_features
from tasks.evaluate.intervention import (
    ConceptReading,
    intervene,
    most_uncertain_first,
    most_weighted_first,
    random_order,
    read_concepts,
)
from tasks.evaluate.judging import ExaminedImages

_HEADS: tuple[HeadKind, ...] = ("concept_bottleneck", "grounded", "sparse")
_RANDOM_ORDERS = 5  # averaged


def measure_interventions(
    published: ConceptDataset,
    probe: Probe,
    images: ExaminedImages,
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> Interventions:
    """Return accuracy as labelled concepts are corrected, one after another.

    How a score looks where its concept is there, and where not, is learned from training and
    validation images, never by a function that was trained on the image; concepts that these show
    on all images, or on none, are left as they are.
    """
    labelled = LabelledConcepts.of(published)
    made = Interventions(concepts=len(labelled.labels), not_computable=labelled.why_not)
    if labelled.why_not:
        return made
    heads = [probe.head(k) for k in _HEADS if any(h.facts.kind == k for h in probe.heads)]
    parts = [_Corrected.of(head, published, labelled) for head in heads]
    return made.model_copy(
        update={
            "read_wrong": parts[0].read_wrong,
            "curves": tuple(
                curve for part in parts for curve in _curves(part, images, bootstrap, spec)
            ),
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
    def of(cls, head: Head, published: ConceptDataset, labelled: LabelledConcepts) -> "_Corrected":
        seen = [published.concept_truth(split) for split in ("train", "validation")]
        reading = read_concepts(
            known_features(published, head)[:, labelled.places],
            np.concatenate([t.present for t in seen])[:, labelled.places],
            np.concatenate([t.known for t in seen])[:, labelled.places],
        )
        features = head_features(published, head, published.rows("test"))
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


def _curves(
    part: _Corrected, images: ExaminedImages, bootstrap: ClusterBootstrap, spec: EvaluateSpec
) -> Iterator[InterventionCurve]:
    corrected = part.reading.correct(part.scores, part.truth.present, part.truth.known)
    image_count, concept_count = part.scores.shape
    orders: dict[InterventionOrder, list[Int[np.ndarray, "image labelled"]]] = {
        "most uncertain first": [most_uncertain_first(part.reading.probability(part.scores))],
        "most weighted first": [most_weighted_first(part.weights, part.logits.argmax(1))],
        "random": [
            random_order(image_count, concept_count, spec.seed + draw)
            for draw in range(_RANDOM_ORDERS)
        ],
    }
    for name, some in orders.items():
        right = np.mean(
            [
                intervene(part.logits, part.weights, part.scores, corrected, order, images.labels)
                for order in some
            ],
            axis=0,
        )
        accuracy: Callable[[np.ndarray], np.ndarray] = partial(_weighted_mean, right)
        made = bootstrap.replicate(accuracy, spec.interval)
        points = [estimate(x) for x in made.intervals(spec.interval, spec.confidence)]
        yield InterventionCurve(
            head=part.head.facts.name,
            head_kind=part.head.facts.kind,
            order=name,
            accuracy=tuple(p for p in points if p is not None),
        )


def _weighted_mean(
    right: Float64[np.ndarray, "image step"], weights: Float64[np.ndarray, "resample image"]
) -> Float64[np.ndarray, "resample step"]:
    return np.asarray(weights @ right / weights.sum(1, keepdims=True))
