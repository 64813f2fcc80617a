"""A sparse autoencoder whose atoms are free.

They begin as training vectors, drawn, and stay of unit length.
"""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch.nn.functional import normalize

from curette.tasks.methods.dictionaries.autoencoder import Decoder, Rows, train
from curette.tasks.methods.dictionaries.dictionary import Dictionary


def fit(vectors: Float64[np.ndarray, "image dim"], size: int, active: int, seed: int) -> Dictionary:
    """Return the atoms of a sparse autoencoder.

    Args:
        vectors: centred.
        size: atoms.
        active: atoms in use a vector at most.
        seed: equal ones give equal atoms.
    """
    drawn = np.random.default_rng(seed).choice(len(vectors), size, replace=False)
    return train(vectors, _Free(torch.from_numpy(vectors[drawn].astype(np.float32))), active, seed)


class _Free(Decoder):
    def __init__(self, start: Rows) -> None:
        self._rows = normalize(start, dim=1).requires_grad_()

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [self._rows]

    def rows(self) -> Rows:
        return normalize(self._rows, dim=1)

    def renew(self, atom: int, vector: Float[torch.Tensor, " dim"]) -> None:
        self._rows[atom] = normalize(vector, dim=0)
