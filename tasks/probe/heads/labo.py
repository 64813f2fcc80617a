"""LaBo's bottleneck on the draw's concepts; see `methods.solvers.bottleneck`."""

from curette.tasks.methods.solvers.bottleneck import train_bottlenecks
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.probe.draws import Draws, Fitted, training_steps


def fit(draws: Draws) -> Fitted:
    """Train it from the links between concepts and classes."""
    scores, images, spec = draws.scores, draws.images, draws.images.spec
    trained = train_bottlenecks(
        scores.drawn,
        draws.labels,
        scores.links.masked_fill(~scores.present[:, None], -float("inf")),
        scores.validation,
        images.validation_labels[None],
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        patience=spec.patience,
        class_weight=spec.class_weight,
    )
    weights = trained.weights
    curve = training_steps(
        range(len(trained.history)),
        [step.train_loss for step in trained.history],
        [step.validation_loss for step in trained.history],
        [step.validation_balanced_accuracy for step in trained.history],
    )
    chosen = tuple({"epoch": float(epoch)} for epoch in trained.chosen_epoch)
    return Fitted(draws, HeadBatch(weights, weights.new_zeros(weights.shape[:2])), chosen, curve)
