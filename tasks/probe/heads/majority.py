"""The class that most drawn images are of, the first of equals, as surely as they are."""

from torch.nn.functional import one_hot

from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.probe.draws import Draws, Fitted


def fit(draws: Draws) -> Fitted:
    """Say of every image how frequent each class is."""
    bias = one_hot(draws.labels, draws.images.class_count).double().mean(1).log()
    return Fitted(draws, HeadBatch(bias.new_zeros(*bias.shape, 0), bias))
