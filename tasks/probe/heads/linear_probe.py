"""L2 logistic regression on image vectors; the strength is chosen by validation log loss."""

from curette.tasks.methods.solvers.head_batch import HeadBatch, linear_probes
from curette.tasks.methods.solvers.linear import choose_by_validation, regularisation_path
from curette.tasks.methods.solvers.prior import fold_batch
from curette.tasks.probe.draws import Draws, Fitted, training_steps


def fit(draws: Draws) -> Fitted:
    """Tune a linear probe; of a single draw its path is kept, and solved four times faster."""
    images, spec = draws.images, draws.images.spec
    strengths = sorted(set(spec.l2_values), reverse=True)
    if len(draws.rows) == 1:
        return _fit_one(draws, strengths)
    heads = linear_probes(
        images.features,
        images.labels,
        draws.rows,
        images.class_count,
        strengths,
        images.validation_features,
        images.validation_labels,
        class_weight=spec.class_weight,
    )
    chosen = tuple({"l2": strengths[i]} for i in heads.index)
    return Fitted(draws, fold_batch(images.scaling, heads), chosen)


def _fit_one(draws: Draws, strengths: list[float]) -> Fitted:
    images = draws.images
    path = regularisation_path(
        images.features[draws.rows[0]],
        draws.labels[0],
        images.class_count,
        strengths,
        class_weight=images.spec.class_weight,
    )
    choice = choose_by_validation(path, images.validation_features, images.validation_labels)
    curve = training_steps(
        path.l2_values,
        path.train_loss,
        choice.validation_loss,
        choice.validation_balanced_accuracy,
    )
    head = images.scaling.fold(path.head(choice.index))
    heads = HeadBatch(head.weights[None], head.bias[None])
    return Fitted(draws, heads, ({"l2": path.l2_values[choice.index]},), curve)
