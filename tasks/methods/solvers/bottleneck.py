"""LaBo's concept bottleneck: each class is a weighted mean of concept scores.

    logits = scale * S W^T,    W = softmax over concepts of A,    A_kj = 1 if class k links j else 0

with S the cosines of image and concept, scale = 100 as in CLIP, and cross-entropy minimised over A
by Adam (Yang et al., CVPR 2023, and their `asso_opt.py`). The rows of W are positive and sum to 1,
so a class is explained by how much each concept speaks for it, never by what it lacks.

Scores go in raw, without centring, standardisation, bias or learned temperature:

- medical cosines lie in a narrow band, but what all of them share cancels: with rows that sum to 1
  a constant moves every logit of an image alike;
- what is left, the mean of each concept, acts as a bias that W chooses. Taking it away without
  giving a bias back leaves the frequency of a class nowhere to go: on the 200 skin lesions of PH2
  the log loss rose from 0.29 and 0.26 (two encoders, cross-validated) to 0.51 and 0.53. With a bias
  it is the same model from another start, and was no better (0.29 and 0.27);
- dividing each concept by its deviation cost 0.07 and 0.02 of AUROC there;
- a learned temperature had log losses of 0.27 and 0.30 against 0.29 and 0.26, and with balanced
  classes 0.34 and 0.33 against 0.38 and 0.33: too little, on 200 images, to leave LaBo for.

Where we leave LaBo: a class links every concept that was proposed for it, also shared ones; classes
may weigh the same in the loss; the epoch is chosen by validation loss or balanced accuracy, not by
accuracy, which rare classes hardly move; training stops when that no longer improves; and each step
sees all images, so that nothing is left to chance and there is no seed.

Gradient and Adam are written out: they are ten lines, while the first `torch.optim.Adam` of a
process imports torch's compiler, which takes longer than the training.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from curette.tasks.methods.solvers.linear import (
    ClassWeight,
    Criterion,
    LinearHead,
    balanced_accuracy,
    check_validation,
    cross_entropy,
    image_shares,
)

CLIP_SCALE = 100.0  # CLIP's logit scale after training (Radford et al., 2021, section 2.5)


@dataclass(frozen=True)
class Epoch:
    """The head before a step of training: what the images say of it."""

    train_loss: float
    validation_loss: float
    validation_balanced_accuracy: float

    def score(self, criterion: Criterion) -> float:
        """Return what validation maximises."""
        if criterion == "log_loss":
            return -self.validation_loss
        return self.validation_balanced_accuracy


@dataclass(frozen=True)
class Bottleneck:
    """The association at the chosen epoch, and the linear head that it is."""

    head: LinearHead  # weights = scale * W, bias = 0
    association: Float[Tensor, "class concept"]  # W: positive, rows sum to 1
    chosen_epoch: int
    history: tuple[Epoch, ...]


def train_bottleneck(
    scores: Float[Tensor, "image concept"],
    labels: Int[Tensor, " image"],
    links: Bool[Tensor, "class concept"],
    validation_scores: Float[Tensor, "validation concept"],
    validation_labels: Int[Tensor, " validation"],
    *,
    epochs: int,
    learning_rate: float,
    patience: int,
    criterion: Criterion = "log_loss",
    class_weight: ClassWeight = "none",
    scale: float = CLIP_SCALE,
) -> Bottleneck:
    """Train the association and keep the epoch that validation images like best.

    Epoch 0 is the start, so the answer is never worse on validation than the untrained links. Ties
    go to the earlier epoch. Equal input gives equal output; the arithmetic is that of `scores`.

    Args:
        scores: of the training images; any scores do, such as those of random concepts.
        labels: rows of `links`.
        links: which concepts were proposed for a class; a class without any starts with all alike.
        validation_scores: of images that are not trained on.
        validation_labels: theirs.
        epochs: most steps of Adam.
        learning_rate: of Adam; A moves by about this much in a step.
        patience: epochs without a better score after which training stops.
        criterion: what chooses the epoch; the log loss weighs classes as training does.
        class_weight: "balanced" lets every class count the same.
        scale: what turns a score into a logit; 100 is for cosines.

    Raises:
        ValueError: there is no validation image, a score is not finite or there is no concept.
    """
    check_validation(validation_labels)
    _check_scores(scores, validation_scores)
    free = links.to(scores.dtype)  # A
    momentum, energy = torch.zeros_like(free), torch.zeros_like(free)
    history: list[Epoch] = []
    chosen, best = free, 0
    for epoch in range(epochs + 1):
        head = _head(free, scale)
        logits, validation_logits = head.logits(scores), head.logits(validation_scores)
        history.append(
            Epoch(
                train_loss=float(cross_entropy(logits, labels, class_weight)),
                validation_loss=float(
                    cross_entropy(validation_logits, validation_labels, class_weight)
                ),
                validation_balanced_accuracy=balanced_accuracy(
                    validation_logits, validation_labels
                ),
            )
        )
        if history[epoch].score(criterion) > history[best].score(criterion):
            chosen, best = free, epoch
        if epoch - best >= patience:
            break
        gradient = _gradient(head.weights, scores, logits, labels, class_weight)
        momentum = 0.9 * momentum + 0.1 * gradient  # Adam (Kingma and Ba, 2015), its defaults
        energy = 0.999 * energy + 0.001 * gradient.square()
        deviation = (energy / (1 - 0.999 ** (epoch + 1))).sqrt()
        mean = momentum / (1 - 0.9 ** (epoch + 1))
        free = free - learning_rate * mean / (deviation + 1e-8)
    return Bottleneck(_head(chosen, scale), chosen.softmax(1), best, tuple(history))


def _head(free: Float[Tensor, "class concept"], scale: float) -> LinearHead:
    return LinearHead(scale * free.softmax(1), free.new_zeros(len(free)))


def _gradient(
    weights: Float[Tensor, "class concept"],
    scores: Float[Tensor, "image concept"],
    logits: Float[Tensor, "image class"],
    labels: Int[Tensor, " image"],
    class_weight: ClassWeight,
) -> Float[Tensor, "class concept"]:
    """Return df/dA = V * (G - sum_j W_kj G_kj), with V = scale W and G = (P - Y)^T diag(s) S."""
    residual = logits.softmax(1)
    residual[torch.arange(len(labels), device=labels.device), labels] -= 1
    residual *= image_shares(labels, len(weights), class_weight).to(residual.dtype)[:, None]
    pull = residual.T @ scores
    association = weights / weights.sum(1, keepdim=True)
    return weights * (pull - (association * pull).sum(1, keepdim=True))


def _check_scores(
    scores: Float[Tensor, "image concept"], validation_scores: Float[Tensor, "validation concept"]
) -> None:
    if not scores.shape[1]:
        raise ValueError(
            "there is no concept to build a bottleneck of; usually every candidate was rejected. "
            "Read the reasons in the screened set, or propose more."
        )
    for split, of_split in (("training", scores), ("validation", validation_scores)):
        if not of_split.isfinite().all():
            raise ValueError(
                f"a {split} score is not finite; usually an embedding overflowed at half "
                "precision. Embed at float32."
            )
