"""Directions along which images are as independent as can be (FastICA: Hyvärinen, 1999).

A component has two ends and its sign means nothing; the end of the longer tail, which fewer images
lie far out at, is taken for what there is to be seen.
"""

import warnings

import numpy as np
from jaxtyping import Float64

from curette.tasks.methods.dictionaries.dictionary import Dictionary, unit

_STEPS = 400


def fit(
    vectors: Float64[np.ndarray, "image dim"], size: int, _active: int, seed: int
) -> Dictionary:
    """Return the directions of independent components.

    Args:
        vectors: centred.
        size: components, at most as many as dimensions.
        _active: is of no account here: all components are always in use.
        seed: of the start.
    """
    from sklearn.decomposition import FastICA  # takes a second to import

    model = FastICA(size, whiten="unit-variance", random_state=seed, max_iter=_STEPS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="FastICA did not converge")
        sources = model.fit_transform(vectors)
    sign = np.where((sources**3).mean(axis=0) < 0, -1.0, 1.0)
    mixing = model.mixing_.T * sign[:, None]
    lengths = np.linalg.norm(mixing, axis=1)
    reading = model.components_ * sign[:, None]

    def encode(these: Float64[np.ndarray, "image dim"]) -> Float64[np.ndarray, "image atom"]:
        return np.asarray((these - model.mean_) @ reading.T * lengths, dtype=np.float64)

    return Dictionary(unit(mixing), unit(reading), encode)
