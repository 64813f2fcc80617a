"""How alike vectors of one encoder are by chance, and from where on that means something.

A text encoder puts all statements of one field close together (median cosine .90 for CLIP on
sentences of one template), so an absolute cosine says nothing. What all texts share is taken out by
centring, and what is left is held against pairs that are known to be unrelated. Arrays only.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32

FEWEST_PAIRS = 500
"""Unrelated pairs below which their highest cosines say too little."""


def centred(
    vectors: Float[np.ndarray, "row dim"], reference: int | None = None
) -> Float32[np.ndarray, "row dim"]:
    """Return the vectors less their mean, of unit length; one that is the mean itself stays 0.

    Args:
        vectors: of any length.
        reference: how many rows, from the first, the mean is of; by default all.
    """
    away = np.asarray(vectors, dtype=np.float64)
    away = away - away[:reference].mean(axis=0)
    length = np.linalg.norm(away, axis=1, keepdims=True)
    return np.divide(away, length, out=np.zeros_like(away), where=length > 1e-9).astype(np.float32)


def chance_cosine(
    vectors: Float32[np.ndarray, "row dim"],
    unrelated: Bool[np.ndarray, "row row"],
    quantile: float,
) -> float | None:
    """Return the cosine that unrelated pairs seldom reach.

    Args:
        vectors: centred, of unit length.
        unrelated: which pairs are known to have nothing to do with each other; symmetric.
        quantile: share of unrelated pairs that lie below.

    Returns:
        The quantile; None where fewer than `FEWEST_PAIRS` pairs are unrelated.
    """
    pairs = np.triu(unrelated, k=1)
    if np.count_nonzero(pairs) < FEWEST_PAIRS:
        return None
    return float(np.quantile((vectors @ vectors.T)[pairs], quantile))


def score_space(
    images: Float32[np.ndarray, "image dim"], texts: Float32[np.ndarray, "text dim"]
) -> Float32[np.ndarray, "text dim"]:
    """Return vectors whose cosine is the correlation of the texts' scores on the images.

    A score is x·t, so cov(s, s') = t' C t' with C the images' covariance, and with C = L L' the
    cosine of L't and L't' is the scores' correlation. Costs O(image dim^2 + text dim^2), whatever
    the number of images.
    """
    away = images - images.mean(axis=0, dtype=np.float64)
    covariance = away.T @ away / max(1, len(images))
    values, axes = np.linalg.eigh(covariance)
    root = axes * np.sqrt(np.maximum(values, 0))
    return (texts.astype(np.float64) @ root).astype(np.float32)
