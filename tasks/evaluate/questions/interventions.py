"""What do heads gain where a person corrects the concepts that were read wrong?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from curette.schemas.images import Truth
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Head
from curette.schemas.questions.interventions import (
    InterventionCurve,
    InterventionOrder,
    Interventions,
    Propagation,
)
from curette.tasks.evaluate.concept_shares import concept_shares
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.labelled_concepts import LabelledConcepts, concept_heads
from curette.tasks.methods.correcting import Readings, read_labelled
from curette.tasks.methods.statistics.intervention import (
    intervene,
    most_uncertain_first,
    most_weighted_first,
    random_order,
)
from curette.tasks.methods.statistics.joint_concepts import Beliefs, PairwiseConcepts

_ALONE: tuple[InterventionOrder, ...] = ("most uncertain first", "most weighted first", "random")
"""Orders in which a correction tells of its own concept alone."""
_RANDOM_ORDERS = 5  # averaged

_Right = Float64[np.ndarray, "image step"]


def measure(exam: Exam) -> Interventions:
    """Return accuracy as labelled concepts are corrected, one after another.

    How a score looks where its concept is there, and where not, is learned from training and
    validation images, never by a function that was trained on the image; concepts that these show
    on all images, or on none, are left as they are. What concepts tell of each other is learned
    from the same images.
    """
    labelled = LabelledConcepts.of(exam.published)
    made = Interventions(concepts=len(labelled.labels), not_computable=labelled.why_not)
    if labelled.why_not:
        return made
    # A hybrid's residual sees the image and not its concepts: corrections leave it as it is.
    hybrids = [h for h in exam.probe.heads if h.facts.inputs == "scores and vectors"]
    heads = (*concept_heads(exam.probe), *hybrids)
    readings = read_labelled(exam.published, heads, labelled.places)
    parts = [
        _Corrected.of(exam, head, labelled, read)
        for head, read in zip(heads, readings, strict=True)
    ]
    texts = [exam.published.concepts[place].text for place in labelled.places]
    return made.model_copy(
        update={
            "read_wrong": parts[0].read_wrong,
            "curves": tuple(_curves(exam, parts)),
            "propagated": tuple(_propagation(exam, part) for part in parts),
            "shares": concept_shares(exam, texts, readings[0], parts[0].scores, labelled.truth),
        }
    )


@dataclass(frozen=True, eq=False)
class _Corrected:
    """What one head says of the test images, and how its labelled concepts are read."""

    head: Head
    logits: Float64[np.ndarray, "image class"]
    scores: Float64[np.ndarray, "image labelled"]
    weights: Float64[np.ndarray, "class labelled"]
    readings: Readings
    truth: Truth

    @classmethod
    def of(
        cls, exam: Exam, head: Head, labelled: LabelledConcepts, readings: Readings
    ) -> "_Corrected":
        features = exam.features(head)
        return cls(
            head,
            logits=head.logits(features),
            scores=features[:, labelled.places],
            weights=head.weights[:, labelled.places],
            readings=readings,
            truth=labelled.truth,
        )

    @property
    def read_wrong(self) -> float:
        """The share of known concepts of images that is read wrong."""
        known = self.truth.known
        wrong = self.readings.each.wrong(self.scores, self.truth.present, known)
        return float(wrong.sum() / known.sum())

    @cached_property
    def order(self) -> Int[np.ndarray, "image labelled"]:
        """Most uncertain first."""
        return most_uncertain_first(self.readings.each.probability(self.scores))

    @cached_property
    def beliefs(self) -> Beliefs:
        """What corrections in that order tell of other concepts, and of the class."""
        return self.readings.beliefs(self.scores, self.logits, self.weights, self.order, self.truth)

    @cached_property
    def by_class(self) -> Beliefs | None:
        """The same with concepts that depend on each other by the class alone."""
        model = self.readings.by_class
        if model is None:
            return None
        looks = self.readings.looks(model, self.scores, self.order, self.truth)
        return looks.beliefs(self.logits)

    def steps(
        self, order: Int[np.ndarray, "image labelled"]
    ) -> Float64[np.ndarray, "image step class"]:
        """Return the head's logits as scores are corrected."""
        known = self.truth.known
        corrected = self.readings.each.correct(self.scores, self.truth.present, known)
        return intervene(self.logits, self.weights, self.scores, corrected, order)


def _curves(exam: Exam, parts: Sequence[_Corrected]) -> Iterator[InterventionCurve]:
    """Yield a curve for each head and order; all of them see the same resamples."""
    orders: tuple[InterventionOrder, ...] = (*_ALONE, "propagated")
    drawn = [(part, order, _right(exam, part, order)) for part in parts for order in orders]
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


def _right(exam: Exam, part: _Corrected, order: InterventionOrder) -> _Right:
    """Return how surely each image is decided right after 0, 1, .. of its concepts."""
    if order == "propagated":
        return _propagated(exam, part, part.beliefs)
    of_orders = [part.steps(places) for places in _orders(part, order, exam.spec.seed)]
    return np.mean([_decided_right(exam, steps) for steps in of_orders], axis=0)


def _propagated(exam: Exam, part: _Corrected, beliefs: Beliefs) -> _Right:
    return _decided_right(exam, part.steps(part.order) + beliefs.class_evidence)


def _decided_right(exam: Exam, steps: Float64[np.ndarray, "image step class"]) -> _Right:
    return (steps.argmax(2) == exam.images.labels[:, None]).astype(np.float64)


def _orders(
    part: _Corrected, order: InterventionOrder, seed: int
) -> list[Int[np.ndarray, "image labelled"]]:
    """Return in which order concepts are corrected, several times where chance has a part in it."""
    if order == "most uncertain first":
        return [part.order]
    if order == "most weighted first":
        return [most_weighted_first(part.weights, part.logits.argmax(1))]
    images, concepts = part.scores.shape
    return [random_order(images, concepts, seed + draw) for draw in range(_RANDOM_ORDERS)]


def _propagation(exam: Exam, part: _Corrected) -> Propagation:
    """Compare what propagates with what does not, in the same order of looks."""
    by_class = part.by_class
    right = _right(exam, part, "propagated")
    alone = _right(exam, part, "most uncertain first")
    read = np.broadcast_to(
        part.readings.each.probability(part.scores)[:, None], part.beliefs.concepts.shape
    )
    left = _left_to_read(part)
    there = part.truth.present[:, None]
    loss, read_loss = _log_loss(part.beliefs.concepts, there), _log_loss(read, there)
    ones = np.ones_like(right[:, 1:])
    sums = [
        ((right - alone)[:, 1:], ones),
        None if by_class is None else ((right - _propagated(exam, part, by_class))[:, 1:], ones),
        (
            (((part.beliefs.concepts > 0.5) == there) * 1.0 - ((read > 0.5) == there)) * left,
            left,
        ),
        ((read_loss - loss) * left, left),
        None if by_class is None else ((_log_loss(by_class.concepts, there) - loss) * left, left),
    ]
    accuracy, accuracy_within, concepts, log_loss, log_loss_within = (
        None if both is None else _mean(exam, *both) for both in sums
    )
    return Propagation(
        head=part.head.facts.name,
        head_kind=part.head.facts.kind,
        model="pairwise" if isinstance(part.readings.joint, PairwiseConcepts) else "normal",
        accuracy=accuracy,
        accuracy_within=accuracy_within,
        concepts=concepts,
        log_loss=log_loss,
        log_loss_within=log_loss_within,
    )


def _left_to_read(part: _Corrected) -> Bool[np.ndarray, "image step labelled"]:
    """Return which known concepts were not looked at yet, after at least one look."""
    concepts = part.scores.shape[1]
    place = part.order.argsort(1)[:, None]
    left = (place >= np.arange(concepts + 1)[:, None]) & part.truth.known[:, None]
    left[:, 0] = False
    return np.asarray(left)


def _log_loss(
    probability: Float64[np.ndarray, "image step labelled"],
    present: Bool[np.ndarray, "image 1 labelled"],
) -> Float64[np.ndarray, "image step labelled"]:
    return np.asarray(-np.log(np.where(present, probability, 1 - probability).clip(1e-12)))


def _mean(
    exam: Exam,
    values: Float64[np.ndarray, "image *any"],
    counted: Shaped[np.ndarray, "image *any"],
) -> Estimate | None:
    """Return the mean of what is counted; None where that is nothing."""
    sums, counts = (x.reshape(len(x), -1).sum(1).astype(np.float64) for x in (values, counted))
    if not counts.any():
        return None

    def mean(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        with np.errstate(invalid="ignore"):
            return np.asarray((weights @ sums / (weights @ counts))[:, None])

    return exam.estimates(mean)[0]
