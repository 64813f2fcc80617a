"""Parts that only ever add up: non-negative matrix factorisation (Lee and Seung, Nature 1999).

Vectors of images have entries of both signs, so each is taken apart into what is above the mean and
what is below, [max(x, 0), max(-x, 0)], and an atom is put together again as the difference.
"""

import warnings

import numpy as np
from jaxtyping import Float64

from curette.tasks.methods.dictionaries.dictionary import Dictionary

_STEPS = 300


def fit(
    vectors: Float64[np.ndarray, "image dim"], size: int, _active: int, seed: int
) -> Dictionary:
    """Return the directions of parts.

    Args:
        vectors: centred.
        size: parts.
        _active: is of no account here.
        seed: of the start, where there are too many parts for singular vectors to be one.
    """
    from sklearn.decomposition import NMF  # takes a second to import

    both = _apart(vectors)
    start = "nndsvda" if size <= min(both.shape) else "random"
    model = NMF(size, init=start, random_state=seed, max_iter=_STEPS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Maximum number of iterations")
        model.fit(both)
    above, below = np.split(model.components_, 2, axis=1)
    parts = above - below
    lengths = np.linalg.norm(parts, axis=1)
    whole = np.flatnonzero(lengths > 0)
    atoms = parts[whole] / lengths[whole, None]

    def encode(these: Float64[np.ndarray, "image dim"]) -> Float64[np.ndarray, "image atom"]:
        codes = model.transform(_apart(these))[:, whole] * lengths[whole]
        return np.asarray(codes, dtype=np.float64)

    return Dictionary(atoms, atoms, encode)


def _apart(vectors: Float64[np.ndarray, "image dim"]) -> Float64[np.ndarray, "image _"]:
    return np.concatenate([np.maximum(vectors, 0), np.maximum(-vectors, 0)], axis=1)
