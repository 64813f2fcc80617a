"""Scores of concepts on images, and when a concept counts as present. Arrays only."""

import numpy as np
from jaxtyping import Bool, Float, Float32

_EXTREME = 0.05
"""Share of images at either end whose mean score is called high, or low."""


def centred_scores(
    images: Float[np.ndarray, "image dim"],
    texts: Float[np.ndarray, "concept dim"],
    pool: Float[np.ndarray, "reference dim"],
) -> Float32[np.ndarray, "image concept"]:
    """Return x·t - mean over the pool's p of x·p for every image x and text t.

    An image that is alike to all texts, as faded ones often are, shows nothing by it; what counts
    is how much more it resembles this text than the pool's.
    """
    away = texts - pool.mean(axis=0, dtype=np.float64)
    return (images @ away.T.astype(np.float32)).astype(np.float32)


def midpoints(scores: Float32[np.ndarray, "image concept"]) -> Float32[np.ndarray, " concept"]:
    """Return for each concept the point midway between its high and its low scores.

    High and low are the means of its highest and lowest 5 % of images (at least one). Cosines have
    no natural zero, and a median would be passed by half of the images whatever they show; midway
    between the ends, few lie above where few show the concept, whatever the encoder's offset.
    """
    ordered = np.sort(scores, axis=0)
    count = max(1, round(_EXTREME * len(scores)))
    return (ordered[:count].mean(axis=0) + ordered[-count:].mean(axis=0)) / 2


def present(scores: Float32[np.ndarray, "image concept"]) -> Bool[np.ndarray, "image concept"]:
    """Return on which images each concept lies above its midpoint."""
    return scores > midpoints(scores)


def mean_of_highest(
    scores: Float[np.ndarray, "image concept"], count: int = 5
) -> Float[np.ndarray, " concept"]:
    """Return the mean of each concept's highest scores: what its best images reach.

    Source: the interpretability cutoff of Oikarinen et al., Label-free Concept Bottleneck Models
    (ICLR 2023), section 3.
    """
    count = min(count, len(scores))
    return np.partition(scores, -count, axis=0)[-count:].mean(axis=0)
