"""A sparse autoencoder whose atoms are mixtures of data, give or take.

D = R C + L, rows brought to unit length: R >= 0 with rows that sum to 1 mixes the centres C of
clusters, and a row of L is no longer than `SLACK` (relaxed archetypal autoencoders: Fel et al.,
ICML 2025). Atoms that stay near data differ less from fit to fit. There are at least as many
centres as atoms, so that each atom begins at one of its own.
"""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch.nn.functional import normalize

from curette.tasks.methods.dictionaries.autoencoder import Decoder, Rows, train
from curette.tasks.methods.dictionaries.dictionary import Dictionary

SLACK = 1.0
_CENTRES_AN_ATOM = 2


def fit(vectors: Float64[np.ndarray, "image dim"], size: int, active: int, seed: int) -> Dictionary:
    """Return the atoms of a relaxed archetypal autoencoder.

    Args:
        vectors: centred.
        size: atoms.
        active: atoms in use a vector at most.
        seed: equal ones give equal atoms.
    """
    from sklearn.cluster import KMeans  # takes a second to import

    count = max(size, min(_CENTRES_AN_ATOM * size, len(vectors)))
    centres = KMeans(count, n_init=1, random_state=seed).fit(vectors).cluster_centers_
    return train(vectors, _Archetypal(centres, size), active, seed)


class _Archetypal(Decoder):
    def __init__(self, centres: Float64[np.ndarray, "centre dim"], size: int) -> None:
        self._centres = torch.from_numpy(centres.astype(np.float32))
        self._mixing = torch.eye(size, len(centres), requires_grad=True)
        self._slack = torch.zeros(size, centres.shape[1], requires_grad=True)

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [self._mixing, self._slack]

    def rows(self) -> Rows:
        mixing = self._mixing.relu() + 1e-6  # a row of zeros would be no direction
        mixing = mixing / mixing.sum(dim=1, keepdim=True)
        lengths = self._slack.square().sum(dim=1, keepdim=True).clamp(min=1e-12).sqrt()
        slack = self._slack * (SLACK / lengths).clamp(max=1)
        return normalize(mixing @ self._centres + slack, dim=1)

    def renew(self, atom: int, vector: Float[torch.Tensor, " dim"]) -> None:
        centre = int((self._centres - vector).square().sum(dim=1).argmin())
        self._mixing[atom] = 0.0
        self._mixing[atom, centre] = 1.0
        self._slack[atom] = 0.0
