"""Linear probes averaged over strengths and biases: the pulled hybrid without concepts.

By what that hybrid is ahead of it, the concepts helped.
"""

import torch

from curette.tasks.methods.solvers.linear import LinearHead
from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import pulled_hybrid


def fit(draws: Draws) -> Fitted:
    """Pull to a prior that says nothing."""
    weights = torch.zeros(draws.images.class_count, draws.images.vectors.shape[1]).double()
    _, heads = pulled_hybrid.pulled(draws, LinearHead(weights, weights[:, 0]))
    return Fitted(draws, heads)
