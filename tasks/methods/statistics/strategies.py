"""The strategies of a linear head: which concept decides, for how many images, how often rightly.

What concept j adds to calling image i class k, ahead of the other classes and relative to an
average image, is

    phi_ij = (W_kj - mean over classes of W_j) (s_ij - mean over training images of s_j)

With a linear head, integrated gradients, occlusion and gradient times input are this one formula.
The concept of the largest phi decides the image. Of the images that a head calls k, the share that
a concept decides is its prevalence, and the share of these whose label is k its reliability (Fel et
al., "A holistic approach to unifying automatic concept extraction and concept importance
estimation", NeurIPS 2023, section 4).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Shaped

from curette.schemas.metrics import IntervalMethod
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Interval, doubted


@dataclass(frozen=True)
class Strategy:
    """One concept that decides for one class."""

    class_index: int
    concept_index: int
    images: int
    prevalence: Interval
    """Share of the images called this class."""
    reliability: Interval
    """Share of the images it decides that are of this class."""


def concept_leads(
    weights: Float64[np.ndarray, "class concept"],
    scores: Float64[np.ndarray, "image concept"],
    reference: Float64[np.ndarray, " concept"],
    called: Int[np.ndarray, " image"],
) -> Float64[np.ndarray, "image concept"]:
    """Return what each concept adds to the class that an image is called; the largest decides.

    Args:
        weights: of the head.
        scores: of the images.
        reference: the scores of an average image.
        called: the class that the head gives each image.
    """
    return (weights - weights.mean(axis=0))[called] * (scores - reference)


def find_strategies(
    called: Int[np.ndarray, " image"],
    deciding: Int[np.ndarray, " image"],
    labels: Int[np.ndarray, " image"],
    bootstrap: ClusterBootstrap,
    method: IntervalMethod,
    confidence: float,
) -> tuple[Strategy, ...]:
    """Return the strategies that decide an image at all: class by class, the most frequent first.

    Args:
        called: the class that the head gives each image.
        deciding: the concept that decides it.
        labels: its class.
        bootstrap: of the same images; whole groups are drawn.
        method: of the intervals.
        confidence: of the intervals.
    """
    pairs, of_pair, counts = np.unique(
        np.stack([called, deciding], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    of_pair = of_pair.ravel()  # numpy 2.0 keeps the axis
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))
    decided = (of_pair[:, None] == order).astype(np.float64)
    of_class = (called[:, None] == pairs[order, 0]).astype(np.float64)
    rightly = decided * (called == labels)[:, None]

    def shares(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        among, all_of, right = weights @ decided, weights @ of_class, weights @ rightly
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.concatenate([among / all_of, right / among], axis=1)

    intervals = bootstrap.replicate(shares, method).intervals(method, confidence)
    count = len(order)

    def with_doubt(interval: Interval, among: Float64[np.ndarray, " image"]) -> Interval:
        groups = len(np.unique(bootstrap.membership[among > 0]))
        return doubted(interval, groups, confidence)

    return tuple(
        Strategy(
            class_index=int(pairs[row, 0]),
            concept_index=int(pairs[row, 1]),
            images=int(counts[row]),
            prevalence=with_doubt(intervals[place], of_class[:, place]),
            reliability=with_doubt(intervals[count + place], decided[:, place]),
        )
        for place, row in enumerate(order)
    )


def own_reliability(
    known_called: Int[np.ndarray, " known"],
    known_deciding: Int[np.ndarray, " known"],
    known_labels: Int[np.ndarray, " known"],
    called: Int[np.ndarray, " image"],
    deciding: Int[np.ndarray, " image"],
) -> tuple[Float64[np.ndarray, " image"], Float64[np.ndarray, " image"]]:
    """Return how often images decided alike were right: called and decided alike, and called so.

    NaN where no known image was.

    Args:
        known_called: the class that the head gives each image whose label is known.
        known_deciding: the concept that decides it.
        known_labels: its class.
        called: the class that the head gives each other image.
        deciding: the concept that decides it.
    """
    right = known_called == known_labels

    def share(
        known: Shaped[np.ndarray, " known"], wanted: Shaped[np.ndarray, " image"]
    ) -> Float64[np.ndarray, " image"]:
        names, place = np.unique(np.concatenate([known, wanted]), return_inverse=True)
        among = np.bincount(place[: len(known)], minlength=len(names)).astype(np.float64)
        rightly = np.bincount(place[: len(known)], right, minlength=len(names))
        shares = np.divide(rightly, among, out=np.full(len(names), np.nan), where=among > 0)
        return shares[place[len(known) :]]

    concepts = 1 + int(max(known_deciding.max(initial=0), deciding.max(initial=0)))
    return (
        share(known_called * concepts + known_deciding, called * concepts + deciding),
        share(known_called, called),
    )
