"""What a dictionary is worth, before anybody looks at what its directions show."""

import numpy as np
from jaxtyping import Bool, Float64
from scipy.optimize import linear_sum_assignment

from curette.tasks.methods.dictionaries.dictionary import Dictionary

_Vectors = Float64[np.ndarray, "image dim"]


def explained(dictionary: Dictionary, vectors: _Vectors) -> float:
    """Return R2: what of the vectors' variance about their own mean is given back.

    The mean is one of each dimension. Over all dimensions at once would also count as explained
    that dimensions have different means.
    """
    rebuilt = dictionary.encode(vectors) @ dictionary.atoms
    about_mean = vectors - vectors.mean(axis=0)
    return float(1 - ((vectors - rebuilt) ** 2).sum() / (about_mean**2).sum())


def active(dictionary: Dictionary, vectors: _Vectors) -> float:
    """Return how many atoms are in use a vector."""
    return float((dictionary.encode(vectors) != 0).sum(axis=1).mean())


def alive(dictionary: Dictionary, vectors: _Vectors) -> Bool[np.ndarray, " atom"]:
    """Tell which atoms any of the vectors uses."""
    return np.asarray((dictionary.encode(vectors) != 0).any(axis=0))


def matched_cosine(
    one: Float64[np.ndarray, "one dim"], other: Float64[np.ndarray, "other dim"]
) -> float:
    """Return the mean cosine of the atoms of two dictionaries, matched so that it is greatest.

    Every atom of the smaller one has a partner of its own (Kuhn, Naval Research Logistics 1955).
    """
    cosines = one @ other.T
    return float(cosines[linear_sum_assignment(-cosines)].mean())
