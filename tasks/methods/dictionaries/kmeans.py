"""Directions to the centres of clusters: each vector is one centre and nothing else.

The simplest dictionary there is, so every other one is held against it: what a sparse autoencoder
finds that clusters do not is what it is worth. Lloyd's algorithm from k-means++ starts (Arthur and
Vassilvitskii, SODA 2007), as scikit-learn has it.
"""

import numpy as np
from jaxtyping import Float64

from curette.tasks.methods.dictionaries.dictionary import Dictionary, unit

_STARTS = 4


def fit(
    vectors: Float64[np.ndarray, "image dim"], size: int, _active: int, seed: int
) -> Dictionary:
    """Return the directions of cluster centres; a cluster without images is left out.

    Args:
        vectors: centred.
        size: clusters.
        _active: is of no account here: one cluster is in use a vector.
        seed: equal ones give equal clusters.
    """
    from sklearn.cluster import KMeans  # takes a second to import

    found = KMeans(size, n_init=_STARTS, random_state=seed).fit(vectors)
    centres = found.cluster_centers_[np.unique(found.labels_)]
    lengths = np.linalg.norm(centres, axis=1)
    centres, lengths = centres[lengths > 0], lengths[lengths > 0]
    atoms = unit(centres)

    def encode(these: Float64[np.ndarray, "image dim"]) -> Float64[np.ndarray, "image atom"]:
        nearest = (lengths**2 - 2 * these @ centres.T).argmin(axis=1)
        codes = np.zeros((len(these), len(centres)))
        codes[np.arange(len(these)), nearest] = lengths[nearest]
        return codes

    return Dictionary(atoms, atoms, encode)
