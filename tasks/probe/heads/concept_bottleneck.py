"""LaBo's bottleneck on the draw's concepts; see `methods.solvers.bottleneck`."""

from jaxtyping import Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.bottleneck import Bottlenecks, train_bottlenecks
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.probe.draws import Draws, Fitted, Images, training_steps


def fit(draws: Draws) -> Fitted:
    """Train it from the links between concepts and classes."""
    return fit_to(draws, draws.labels, draws.images.validation_labels[None], draws.scores.links)


def fit_to(
    draws: Draws,
    labels: Int[Tensor, "draw shot"],
    validation_labels: Int[Tensor, "#draw validation"],
    links: Float64[Tensor, "draw class concept"],
) -> Fitted:
    """Train it on these labels, from these links."""
    scores = draws.scores
    start = links.masked_fill(~scores.present[:, None], -float("inf"))
    trained = associate(
        draws.images, scores.drawn, labels, start, scores.validation, validation_labels
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


def associate(
    images: Images,
    scores: Float64[Tensor, "draw shot concept"],
    labels: Int[Tensor, "draw shot"],
    start: Float64[Tensor, "draw class concept"],
    validation_scores: Float64[Tensor, "draw validation concept"],
    validation_labels: Int[Tensor, "#draw validation"],
) -> Bottlenecks:
    """Train as the study's settings say."""
    return train_bottlenecks(
        scores,
        labels,
        start,
        validation_scores,
        validation_labels,
        epochs=images.spec.epochs,
        learning_rate=images.spec.learning_rate,
        patience=images.spec.patience,
        class_weight=images.spec.class_weight,
    )
