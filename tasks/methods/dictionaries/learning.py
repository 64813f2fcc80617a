"""Learning a dictionary: the same from the same vectors, in whatever order they come."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from threadpoolctl import threadpool_limits

from curette.tasks.methods.dictionaries.dictionary import Dictionary, Fit
from curette.tasks.methods.threads import one_thread_of_torch

MOST_VECTORS = 50_000
"""Of more every so manieth is learned from."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A dictionary, and what vectors must be put through before it knows them."""

    dictionary: Dictionary
    mean: Float64[np.ndarray, " dim"]
    scale: float
    """Root mean square length of the centred vectors."""

    def centred(self, vectors: Float[np.ndarray, "image dim"]) -> Float64[np.ndarray, "image dim"]:
        """Return vectors as the dictionary was given them."""
        return (vectors.astype(np.float64) - self.mean) / self.scale


def learn(
    fit: Fit, vectors: Float[np.ndarray, "image dim"], size: int, active: int, seed: int
) -> Learned:
    """Return what `fit` makes of the vectors, the atoms that most of them use first.

    The vectors are sorted first, so that their order is nothing that an answer depends on, and one
    thread computes, so that neither is the machine.

    Raises:
        ValueError: there are fewer vectors than atoms, or they do not differ.
    """
    if len(vectors) < size:
        raise ValueError(f"{size} atoms cannot be learned from {len(vectors)} vectors")
    ordered = vectors[np.lexsort(vectors.T[::-1])].astype(np.float64)
    ordered = ordered[:: -(-len(ordered) // MOST_VECTORS)]
    mean = ordered.mean(axis=0)
    centred = ordered - mean
    scale = float(np.sqrt((centred**2).sum(axis=1).mean()))
    if not scale > 0:
        raise ValueError("the vectors do not differ")
    centred /= scale
    with threadpool_limits(1), one_thread_of_torch():
        found = fit(centred, size, active, seed)
        used = (found.encode(centred) != 0).mean(axis=0)
    order = np.argsort(-used, kind="stable")
    return Learned(found.take(order.tolist()), mean, scale)
