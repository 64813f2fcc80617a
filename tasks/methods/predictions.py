"""What a head says of images without labels, why, and whether it has seen anything like them.

An image is unlike what the head was trained on where its nearest training image is farther than
for 99 of 100 training images the nearest one of another group is: a distance to the k-th nearest
neighbour, k = 1 (Sun et al., "Out-of-distribution detection with deep nearest neighbors", ICML
2022), with a threshold that no new image moves.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int, Shaped
from scipy.special import softmax

UNLIKE_SHARE = 0.01
"""Share of the training images that would be called unlike the others."""

_BLOCK = 2**24  # cosines at a time: 64 MiB


@dataclass(frozen=True)
class Decisions:
    """One row an image."""

    decided: Int[np.ndarray, " image"]
    probability: Float64[np.ndarray, " image"]
    runner_up: Int[np.ndarray, " image"]
    reasons: Int[np.ndarray, "image reason"]
    """What puts the class ahead of the runner-up, strongest first; -1 where fewer concepts do."""
    ahead: Float64[np.ndarray, "image reason"]
    """By how much of the logit."""


def decide(
    weights: Float64[np.ndarray, "class concept"],
    bias: Float64[np.ndarray, " class"],
    center: Float64[np.ndarray, " concept"],
    scores: Float64[np.ndarray, "image concept"],
    reasons: int,
) -> Decisions:
    """Return what a linear head decides and by which concepts.

    Args:
        weights: of the head.
        bias: of the head.
        center: mean scores of the training images; a reason is told relative to them.
        scores: of the images.
        reasons: how many are told, at most.
    """
    logits = scores @ weights.T + bias
    probabilities = softmax(logits, axis=1)
    order = np.argsort(-logits, axis=1, kind="stable")
    first, second = order[:, 0], order[:, 1]
    lead = (weights[first] - weights[second]) * (scores - center)
    strongest = np.argsort(-lead, axis=1, kind="stable")[:, :reasons]
    ahead = np.take_along_axis(lead, strongest, axis=1)
    images = np.arange(len(scores))
    return Decisions(
        decided=first,
        probability=probabilities[images, first],
        runner_up=second,
        reasons=np.where(ahead > 0, strongest, -1),
        ahead=np.where(ahead > 0, ahead, 0.0),
    )


def nearest_cosines(
    known: Float32[np.ndarray, "known dim"], asked: Float32[np.ndarray, "asked dim"]
) -> tuple[Float32[np.ndarray, " asked"], Int[np.ndarray, " asked"]]:
    """Return each asked vector's largest cosine with a known one, and that one's row.

    Args:
        known: unit rows, at least one.
        asked: unit rows.
    """
    cosines, rows = np.zeros(len(asked), np.float32), np.zeros(len(asked), np.int64)
    step = max(1, _BLOCK // len(known))
    for start in range(0, len(asked), step):
        block = asked[start : start + step] @ known.T
        nearest = block.argmax(axis=1)
        rows[start : start + step] = nearest
        cosines[start : start + step] = block[np.arange(len(block)), nearest]
    return cosines, rows


def least_usual_cosine(
    known: Float32[np.ndarray, "known dim"], groups: Shaped[np.ndarray, " known"]
) -> float:
    """Return the cosine below which an image is unlike the known ones; -1 where all are one group.

    Args:
        known: unit rows.
        groups: images of one group do not count as each other's neighbours.
    """
    _, group = np.unique(groups, return_inverse=True)
    if not group.any():
        return -1.0
    nearest = np.zeros(len(known), np.float32)
    step = max(1, _BLOCK // len(known))
    for start in range(0, len(known), step):
        block = known[start : start + step] @ known.T
        block[group[start : start + step, None] == group] = -1
        nearest[start : start + step] = block.max(axis=1)
    return float(np.quantile(nearest, UNLIKE_SHARE))
