"""A linear discriminant analysis whose covariance is shrunk; the amount is tuned."""

from curette.tasks.methods.solvers.head_batch import SHRINKAGES, shrinkage_discriminants
from curette.tasks.methods.solvers.prior import fold_batch
from curette.tasks.probe.draws import Draws, Fitted


def fit(draws: Draws) -> Fitted:
    """Choose each draw's shrinkage by validation log loss."""
    images = draws.images
    heads = shrinkage_discriminants(
        images.features,
        images.labels,
        draws.rows,
        images.class_count,
        images.validation_features,
        images.validation_labels,
        class_weight=images.spec.class_weight,
    )
    chosen = tuple({"shrinkage": SHRINKAGES[i]} for i in heads.index)
    return Fitted(draws, fold_batch(images.scaling, heads), chosen)
