"""What sparse autoencoders have in common: a few of many atoms give each vector back.

f = TopK(E x + e), x' = D f: of the activations above 0 the largest are kept, so that how many are
in use is set and not left to a penalty (Gao et al., Scaling and evaluating sparse autoencoders,
2024). The encoder begins as the decoder, whose rows begin as training vectors. An atom that a pass
over the data never used begins anew, at a vector drawn by the square of what is lost of it (Bricken
et al., Towards monosemanticity, 2023).
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float, Float64

from curette.tasks.methods.dictionaries.dictionary import Dictionary, unit

_PASSES, _MOST_STEPS, _BATCH, _RATE = 100, 3000, 256, 2e-3
_RENEWALS_END = 0.7  # of all steps: what begins anew later has no time to learn

Rows = Float[torch.Tensor, "atom dim"]


class Decoder(ABC):
    """Where atoms come from."""

    @property
    @abstractmethod
    def parameters(self) -> list[torch.Tensor]:
        """What is learned."""

    @abstractmethod
    def rows(self) -> Rows:
        """Return the atoms, unit rows."""

    @abstractmethod
    def renew(self, atom: int, vector: Float[torch.Tensor, " dim"]) -> None:
        """Let an atom begin anew at a vector or near it."""


def train(
    vectors: Float64[np.ndarray, "image dim"],
    decoder: Decoder,
    active: int,
    seed: int,
) -> Dictionary:
    """Return what an autoencoder learns of centred vectors.

    Args:
        vectors: centred, of a mean square length of 1.
        decoder: the atoms that it begins with.
        active: atoms in use a vector at most.
        seed: equal ones give equal atoms.
    """
    data = torch.from_numpy(vectors.astype(np.float32))
    draw = torch.Generator().manual_seed(seed)
    weights = decoder.rows().detach().clone().requires_grad_()
    bias = torch.zeros(len(weights), requires_grad=True)
    optimiser = torch.optim.Adam([weights, bias, *decoder.parameters], lr=_RATE)
    batches = max(1, -(-len(data) // _BATCH))
    steps = min(_PASSES * batches, _MOST_STEPS)
    used = torch.zeros(len(weights), dtype=torch.bool)
    for step in range(steps):
        if step % batches == 0:
            order = torch.randperm(len(data), generator=draw)
            if 0 < step < _RENEWALS_END * steps:
                _renew(data, weights, bias, decoder, active, used, draw)
            used[:] = False
        batch = data[order[(step % batches) * _BATCH :][:_BATCH]]
        codes = sparse_codes(batch @ weights.T + bias, active)
        used |= (codes > 0).any(dim=0)
        loss = (batch - codes @ decoder.rows()).square().sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return _finished(decoder.rows().detach(), weights.detach(), bias.detach(), active)


def sparse_codes(
    activations: Float[torch.Tensor, "image atom"], active: int
) -> Float[torch.Tensor, "image atom"]:
    """Return the largest activations of each image that are above 0, and 0 in place of the rest."""
    kept = activations.topk(min(active, activations.shape[1]), dim=1)
    return torch.zeros_like(activations).scatter(1, kept.indices, kept.values.relu())


@torch.no_grad()
def _renew(
    data: Float[torch.Tensor, "image dim"],
    weights: Rows,
    bias: Float[torch.Tensor, " atom"],
    decoder: Decoder,
    active: int,
    used: torch.Tensor,
    draw: torch.Generator,
) -> None:
    dead = (~used).nonzero()[:, 0].tolist()
    if not dead:
        return
    residual = data - sparse_codes(data @ weights.T + bias, active) @ decoder.rows()
    lost = residual.square().sum(dim=1)
    for atom in dead:
        number = int(torch.multinomial(lost.square() + 1e-12, 1, generator=draw))
        decoder.renew(atom, data[number])
        weights[atom], bias[atom] = decoder.rows()[atom], 0.0


def _finished(
    atoms: Rows, weights: Rows, bias: Float[torch.Tensor, " atom"], active: int
) -> Dictionary:
    def encode(these: Float64[np.ndarray, "image dim"]) -> Float64[np.ndarray, "image atom"]:
        activations = torch.from_numpy(these.astype(np.float32)) @ weights.T + bias
        return np.asarray(sparse_codes(activations, active).numpy(), dtype=np.float64)

    rows, readers = (unit(t.numpy().astype(np.float64)) for t in (atoms, weights))
    return Dictionary(rows, readers, encode)
