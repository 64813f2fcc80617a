"""Decisions about many images at once, each as `explanation.Explainer` and its card have it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Shaped
from scipy.special import softmax

from curette.tasks.methods.explanation import SHOWN, Explainer

LISTED_FOR, LISTED_AGAINST = 5, 3
"""Concepts that a card has a bar for."""
NEAREST = 3
_BLOCK = 2**23  # cosines at a time


@dataclass(frozen=True, eq=False)
class ManyDecisions:
    """One row an image; `start`, what is listed of `ahead`, and `rest` add up to `lead`."""

    decided: Int[np.ndarray, " image"]
    second: Int[np.ndarray, " image"]
    probability: Float64[np.ndarray, " image"]
    second_probability: Float64[np.ndarray, " image"]
    start: Float64[np.ndarray, " image"]
    concepts: Int[np.ndarray, "image listed"]
    """What sets the answer ahead, strongest first, then what holds it back, strongest last; -1
    where fewer do."""
    ahead: Float64[np.ndarray, "image listed"]
    standing: Float64[np.ndarray, "image listed"]
    """Share of the training images with a lower score."""
    rest: Float64[np.ndarray, " image"]
    """Of all concepts that are not listed."""
    lead: Float64[np.ndarray, " image"]
    nearest: Int[np.ndarray, "image near"]
    """Rows of the training images of other groups that are most like it; -1 where fewer are."""
    unlike: Bool[np.ndarray, " image"]
    """Whether it is less like any training image than these are like one another."""


def decide_many(explainer: Explainer, rows: Int[np.ndarray, " image"]) -> ManyDecisions:
    """Return the decisions about images of the head's dataset.

    Args:
        explainer: of the head.
        rows: of the images in the dataset.
    """
    head, published = explainer.head, explainer.published
    train = published.rows("train")
    vectors, groups = published.vectors, published.images["group"].to_numpy()
    scores, known = explainer.scores(vectors[rows]), explainer.scores(vectors[train])
    logits = head.logits(scores)
    order = np.argsort(-logits, axis=1, kind="stable")
    decided, second = order[:, 0], order[:, 1]
    images = np.arange(len(rows))
    probabilities = softmax(logits, axis=1)
    added = (head.weights[decided] - head.weights[second]) * (scores - head.center)
    concepts = _listed(added)
    ahead = np.where(concepts >= 0, np.take_along_axis(added, np.maximum(concepts, 0), axis=1), 0.0)
    lower = np.empty_like(scores)
    for j in range(scores.shape[1]):
        lower[:, j] = np.searchsorted(np.sort(known[:, j]), scores[:, j]) / len(train)
    nearest, cosines = _nearest(vectors[train], groups[train], vectors[rows], groups[rows])
    return ManyDecisions(
        decided=decided,
        second=second,
        probability=probabilities[images, decided],
        second_probability=probabilities[images, second],
        start=head.baseline[decided] - head.baseline[second],
        concepts=concepts,
        ahead=ahead,
        standing=np.take_along_axis(lower, np.maximum(concepts, 0), axis=1),
        rest=added.sum(1) - ahead.sum(1),
        lead=logits[images, decided] - logits[images, second],
        nearest=np.where(nearest >= 0, train[nearest], -1),
        unlike=cosines < explainer.least_usual,
    )


def _listed(added: Float64[np.ndarray, "image concept"]) -> Int[np.ndarray, "image listed"]:
    """Return the places of the concepts that a card lists."""
    strongest = np.argsort(-np.abs(added), axis=1, kind="stable")[:, :SHOWN]
    values = np.take_along_axis(added, strongest, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    places = np.take_along_axis(strongest, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    speaking_for = np.where(values > 0, places, -1)[:, :LISTED_FOR]
    against = np.where(values < 0, places, -1)[:, -LISTED_AGAINST:]
    return np.concatenate([speaking_for, against], axis=1)


def _nearest(
    known: Float32[np.ndarray, "known dim"],
    groups: Shaped[np.ndarray, " known"],
    asked: Float32[np.ndarray, "asked dim"],
    groups_asked: Shaped[np.ndarray, " asked"],
) -> tuple[Int[np.ndarray, "asked near"], Float64[np.ndarray, " asked"]]:
    """Return the nearest known vectors of other groups, and the cosine of the very nearest."""
    _, both = np.unique(np.concatenate([groups, groups_asked]), return_inverse=True)
    of_known, of_asked = both[: len(known)], both[len(known) :]
    count = min(NEAREST, len(known))
    rows = np.full((len(asked), NEAREST), -1)
    best = np.zeros(len(asked))
    step = max(1, _BLOCK // len(known))
    for start in range(0, len(asked), step):
        part = slice(start, start + step)
        cosines = asked[part].astype(np.float64) @ known.astype(np.float64).T
        cosines[of_asked[part, None] == of_known] = -np.inf
        near = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(cosines, near, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        values = np.take_along_axis(values, order, axis=1)
        near = np.take_along_axis(near, order, axis=1)
        rows[part, :count] = np.where(np.isfinite(values), near, -1)
        best[part] = values[:, 0]
    return rows, best
