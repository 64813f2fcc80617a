"""The class of the nearest mean image; nothing is tuned."""

from curette.tasks.methods.solvers.head_batch import nearest_means
from curette.tasks.methods.solvers.prior import fold_batch
from curette.tasks.probe.draws import Draws, Fitted


def fit(draws: Draws) -> Fitted:
    """Take each class's mean image."""
    images = draws.images
    heads = nearest_means(images.features, images.labels, draws.rows, images.class_count)
    return Fitted(draws, fold_batch(images.scaling, heads))
