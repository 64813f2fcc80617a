"""Least-squares concept erasure: no linear probe can tell an attribute from what is left.

Source: Belrose et al., LEACE: Perfect linear concept erasure in closed form, 2023 (theorem 4.2 and
section 4.1). With W a whitening matrix and P the orthogonal projector on the columns of W S_xz,

    x' = x - W^+ P W (x - mu)

has no covariance with z: S_x'z = S_xz - W^+ P W S_xz = 0. For W = (S_xx^1/2)^+ it is, of all such
maps, the one that moves x least in mean square. The covariance is zero for every invertible W;
here S_xx is shrunk by Ledoit and Wolf (2004) before its root is taken, so that with few images the
directions are less those of noise, and new images are cleared as well.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

_NOISE = 1e-9


@dataclass(frozen=True)
class Eraser:
    """The map x - left right (x - mean)."""

    mean: Float64[np.ndarray, " dim"]
    left: Float64[np.ndarray, "dim rank"]
    right: Float64[np.ndarray, "rank dim"]

    def apply(self, vectors: Float[np.ndarray, "image dim"]) -> Float64[np.ndarray, "image dim"]:
        """Return the vectors without what they tell."""
        wide = vectors.astype(np.float64)
        return wide - (wide - self.mean) @ self.right.T @ self.left.T


def leace(
    vectors: Float[np.ndarray, "image dim"], attributes: Float[np.ndarray, "image column"]
) -> Eraser:
    """Return the map after which vectors and attributes have no covariance.

    Args:
        vectors: of at least two images.
        attributes: numbers, such as one column a value; NaN where nothing is known, and then the
            image counts for neither.
    """
    from sklearn.covariance import ledoit_wolf

    wide = vectors.astype(np.float64)
    mean = wide.mean(axis=0)
    known = ~np.isnan(attributes)
    told = np.where(known, attributes, 0.0)
    centred = np.where(known, told - told.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0.0)
    cross = (wide - mean).T @ centred / len(wide)
    covariance, _ = ledoit_wolf(wide)
    values, axes = np.linalg.eigh(covariance)
    kept = values > _NOISE * values[-1]
    root = np.sqrt(values[kept])
    whiten, dewhiten = (axes[:, kept] / root).T, axes[:, kept] * root
    basis, sizes, _ = np.linalg.svd(whiten @ cross, full_matrices=False)
    basis = basis[:, sizes > _NOISE * max(sizes[0], 1e-300)]
    return Eraser(mean, dewhiten @ basis, basis.T @ whiten)
