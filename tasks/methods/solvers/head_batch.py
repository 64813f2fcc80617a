"""Few shots: the baselines of every draw, trained as one batch.

All draws of one size share their features, and a method's draws are one batch of problems. What is
scaled is scaled by all training images without a look at their labels, for every method alike;
nothing else of the images that were not drawn is used. Strengths are chosen on validation images.

The baselines are those that a concept head has to beat when labels are few: a linear probe with its
strength tuned (CLIP's protocol: Radford et al., 2021, section 3.1), the nearest class mean
(Snell et al., 2017, without the training), and linear discriminant analysis whose covariance is
shrunk towards a multiple of the identity (Friedman, 1989, section 4, with the amount tuned).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.linear import (
    ClassWeight,
    LinearHead,
    check_validation,
    image_shares,
)
from curette.tasks.methods.solvers.logistic_batch import principal_components, solve_logistic_batch

SHRINKAGES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class HeadBatch:
    """One linear head a draw: `logits = features @ weights.mT + bias`."""

    weights: Float64[Tensor, "draw class dim"]
    bias: Float64[Tensor, "draw class"]

    def logits(self, features: Float[Tensor, "image dim"]) -> Float64[Tensor, "draw image class"]:
        """Return one logit a draw, image and class."""
        return features.double() @ self.weights.mT + self.bias[:, None, :]

    def head(self, draw: int) -> LinearHead:
        """Return the head of one draw."""
        return LinearHead(self.weights[draw], self.bias[draw])


@dataclass(frozen=True)
class ChosenHeads(HeadBatch):
    """Of each draw, the head that validation images chose, and which of those tried it is."""

    index: Int[Tensor, " draw"]


def linear_probes(
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    draws: Int[Tensor, "draw shot"],
    class_count: int,
    l2_values: Sequence[float],
    validation_features: Float[Tensor, "validation dim"],
    validation_labels: Int[Tensor, " validation"],
    *,
    class_weight: ClassWeight = "none",
) -> ChosenHeads:
    """Train an L2 logistic regression a draw; validation log loss chooses its strength.

    Args:
        features: standardised; see `methods.solvers.linear.global_standardisation`.
        labels: of all training images; those outside a draw are not looked at.
        draws: rows of `features`.
        class_count: K.
        l2_values: strengths tried; ties go to the strongest.
        validation_features: standardised as `features` are.
        validation_labels: theirs.
        class_weight: "balanced" lets every class count the same, on validation images too.

    Raises:
        ValueError: there is no validation image, or a draw cannot be trained on.
    """
    check_validation(validation_labels)
    strengths = sorted(set(l2_values), reverse=True)
    solved = solve_logistic_batch(
        features[draws], labels[draws], class_count, strengths, class_weight=class_weight
    )
    return choose_heads(
        solved.weights, solved.bias, validation_features, validation_labels, class_weight
    )


def nearest_means(
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    draws: Int[Tensor, "draw shot"],
    class_count: int,
) -> HeadBatch:
    """Return, for each draw, the head whose argmax is the class with the nearest mean image.

    ||x - m_k||^2 = ||x||^2 - 2 (m_k x - ||m_k||^2 / 2), so m_k is the weight, -||m_k||^2 / 2 the
    bias. There is nothing to tune.
    """
    means = _class_means(features[draws].double(), labels[draws], class_count)
    return HeadBatch(means, -means.square().sum(2) / 2)


def shrinkage_discriminants(
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    draws: Int[Tensor, "draw shot"],
    class_count: int,
    validation_features: Float[Tensor, "validation dim"],
    validation_labels: Int[Tensor, " validation"],
    *,
    class_weight: ClassWeight = "none",
    shrinkages: Sequence[float] = SHRINKAGES,
) -> ChosenHeads:
    """Train a linear discriminant analysis a draw; validation log loss chooses its shrinkage.

    With m_k the class means, S the mean square of images about their class's mean in a draw of
    dimension d, and C_a = (1 - a) S + a (tr S / d) I,

        w_k = C_a^-1 m_k,    b_k = -m_k C_a^-1 m_k / 2 + log of the class's share

    where the shares are equal for class weight "balanced". C_a is inverted in the principal axes of
    the draw. With one image a class S is zero, and a unit covariance stands in for it.

    Raises:
        ValueError: there is no validation image.
    """
    return discriminants_of(
        features[draws],
        labels[draws],
        class_count,
        validation_features,
        validation_labels,
        class_weight=class_weight,
        shrinkages=shrinkages,
    )


def discriminants_of(
    features: Float[Tensor, "draw shot dim"],
    labels: Int[Tensor, "draw shot"],
    class_count: int,
    validation_features: Float[Tensor, "*draw validation dim"],
    validation_labels: Int[Tensor, " validation"],
    *,
    class_weight: ClassWeight = "none",
    shrinkages: Sequence[float] = SHRINKAGES,
) -> ChosenHeads:
    """Do what `shrinkage_discriminants` does where each draw may have features of its own.

    Args:
        features: of the images of each draw.
        labels: theirs.
        class_count: K.
        validation_features: of all draws, or of each with an axis for the shrinkages: "draw 1
            validation dim".
        validation_labels: theirs.
        class_weight: "balanced" lets every class count the same, on validation images too.
        shrinkages: amounts tried; the first of equals is taken.

    Raises:
        ValueError: there is no validation image.
    """
    check_validation(validation_labels)
    drawn = features.double()
    means = _class_means(drawn, labels, class_count)
    within = drawn - means.gather(1, labels[..., None].expand(-1, -1, drawn.shape[2]))
    even = within.new_full(within.shape[:2], 1 / within.shape[1])
    _, axes, spread = principal_components(within, even)
    level = spread.sum(1)[:, None] / drawn.shape[2]
    level = level.where(level > 0, 1.0)
    on_axes = means @ axes
    rest = means - on_axes @ axes.mT
    shares = torch.nn.functional.one_hot(labels, class_count).double().mean(1)
    prior = shares.log() if class_weight == "none" else torch.zeros_like(shares)
    weights, bias = [], []
    for amount in shrinkages:
        inverse = 1 / ((1 - amount) * spread + amount * level)
        solved = (on_axes * inverse[:, None, :]) @ axes.mT + rest / (amount * level[:, :, None])
        weights.append(solved)
        bias.append(prior - (solved * means).sum(2) / 2)
    return choose_heads(
        torch.stack(weights, 1),
        torch.stack(bias, 1),
        validation_features,
        validation_labels,
        class_weight,
    )


def _class_means(
    drawn: Float64[Tensor, "draw shot dim"], labels: Int[Tensor, "draw shot"], class_count: int
) -> Float64[Tensor, "draw class dim"]:
    one_hot = torch.nn.functional.one_hot(labels, class_count).double()
    return (one_hot / one_hot.sum(1, keepdim=True)).mT @ drawn


def batch_shares(
    labels: Int[Tensor, "draw image"], class_count: int, class_weight: ClassWeight
) -> Float64[Tensor, "draw image"]:
    """Return `methods.solvers.linear.image_shares` of every draw."""
    return torch.stack([image_shares(each, class_count, class_weight) for each in labels])


def held_out_losses(
    logits: Float64[Tensor, "draw value image class"],
    labels: Int[Tensor, "#draw image"],
    class_weight: ClassWeight,
) -> Float64[Tensor, "draw value"]:
    """Return `methods.solvers.linear.cross_entropy` of every problem on its held-out images."""
    shares = batch_shares(labels, logits.shape[3], class_weight)
    of_class = labels[:, None, :, None].expand(*logits.shape[:3], 1)
    return ((logits.logsumexp(3) - logits.gather(3, of_class)[..., 0]) * shares[:, None]).sum(2)


def choose_heads(
    weights: Float64[Tensor, "draw value class dim"],
    bias: Float64[Tensor, "draw value class"],
    features: Float[Tensor, "*draw validation dim"],
    labels: Int[Tensor, " validation"],
    class_weight: ClassWeight,
) -> ChosenHeads:
    """Return each draw's head of least validation loss, the first of equals.

    Features are those of all draws, or of each with an axis for the values: "draw 1 image dim".
    """
    logits = features.double() @ weights.mT + bias[:, :, None, :]
    best = held_out_losses(logits, labels[None], class_weight).argmin(1)
    draws = torch.arange(len(best))
    return ChosenHeads(weights[draws, best], bias[draws, best], best)
