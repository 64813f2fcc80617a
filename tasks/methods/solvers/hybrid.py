"""A concept head and a linear residual on the image vectors (post-hoc CBM-h).

    logits = g(s(x)) + R x + r,        f = loss + (l2 / 2) ||R||^2

g is a concept head that was trained before and stands still, s(x) are concept scores and R is what
the concepts left out (Yuksekgonul et al., ICLR 2023, section 2.3; their residual has one fixed l2).
l2 is chosen on validation images, and "no residual" is one of the choices: there R and r are zero
and the hybrid is the concept head, to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.head_batch import HeadBatch, held_out_losses
from curette.tasks.methods.solvers.linear import (
    ClassWeight,
    LinearHead,
    check_validation,
    global_standardisation,
)
from curette.tasks.methods.solvers.logistic_batch import solve_logistic_batch

_NOISE = 1e-12  # nats


@dataclass(frozen=True)
class Hybrid:
    """The residual of least validation loss; `l2` is None where that is none at all."""

    residual: LinearHead  # on raw image vectors
    l2: float | None
    l2_values: tuple[float, ...]
    validation_loss: tuple[float, ...]  # without a residual, then of each l2

    def logits(
        self,
        concept_logits: Float[Tensor, "image class"],
        vectors: Float[Tensor, "image dim"],
    ) -> Float64[Tensor, "image class"]:
        """Return the concept head's logits and the residual's."""
        return concept_logits.double() + self.residual.logits(vectors.double())

    def flipped_share(
        self,
        concept_logits: Float[Tensor, "image class"],
        vectors: Float[Tensor, "image dim"],
    ) -> float:
        """Return the share of decisions that the residual changes: how much the concepts explain.

        Raises:
            ValueError: there is no image.
        """
        if not len(vectors):
            raise ValueError("there is no image, so no decision that a residual could flip.")
        decided = self.logits(concept_logits, vectors).argmax(1)
        return float((decided != concept_logits.argmax(1)).double().mean())


def train_hybrid(
    concept_logits: Float[Tensor, "image class"],
    vectors: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    validation_concept_logits: Float[Tensor, "validation class"],
    validation_vectors: Float[Tensor, "validation dim"],
    validation_labels: Int[Tensor, " validation"],
    l2_values: Sequence[float],
    *,
    class_weight: ClassWeight = "none",
) -> Hybrid:
    """Train the residual of a concept head that stands still.

    Args:
        concept_logits: the concept head's, of the training images.
        vectors: of the same images; centred and scaled by one number inside.
        labels: theirs; every class occurs.
        validation_concept_logits: the concept head's, of images that are not trained on.
        validation_vectors: theirs.
        validation_labels: theirs.
        l2_values: strengths tried, on vectors of unit mean variance; ties go to the strongest, and
            to no residual first of all.
        class_weight: "balanced" lets every class count the same, on validation images too.

    Raises:
        ValueError: there is no validation image, or the residual cannot be trained.
    """
    check_validation(validation_labels)
    strengths = tuple(sorted(set(l2_values), reverse=True))
    scaling = global_standardisation(vectors)
    tried = train_residuals(
        scaling.apply(vectors)[None],
        labels[None],
        concept_logits[None],
        scaling.apply(validation_vectors),
        validation_concept_logits[None],
        validation_labels,
        strengths,
        class_weight=class_weight,
    )
    losses, best = tried.validation_loss[0], int(tried.best[0])
    return Hybrid(
        residual=scaling.fold(LinearHead(tried.weights[0, best], tried.bias[0, best])),
        l2=strengths[best - 1] if best else None,
        l2_values=strengths,
        validation_loss=tuple(losses.tolist()),
    )


@dataclass(frozen=True)
class Residuals:
    """Of every draw: no residual, then that of each strength."""

    weights: Float64[Tensor, "draw choice class dim"]
    bias: Float64[Tensor, "draw choice class"]
    validation_loss: Float64[Tensor, "draw choice"]

    @property
    def best(self) -> Int[Tensor, " draw"]:
        """Each draw's choice of least validation loss, the first of those that rounding parts."""
        losses = self.validation_loss
        return (losses <= losses.amin(1, keepdim=True) + _NOISE).byte().argmax(1)

    def chosen(self) -> HeadBatch:
        """Return each draw's best residual."""
        draws = torch.arange(len(self.bias))
        return HeadBatch(self.weights[draws, self.best], self.bias[draws, self.best])


def train_residuals(
    features: Float[Tensor, "draw image dim"],
    labels: Int[Tensor, "draw image"],
    concept_logits: Float[Tensor, "draw image class"],
    validation_features: Float[Tensor, "validation dim"],
    validation_concept_logits: Float[Tensor, "draw validation class"],
    validation_labels: Int[Tensor, " validation"],
    l2_values: Sequence[float],
    *,
    class_weight: ClassWeight = "none",
) -> Residuals:
    """Train every draw's residual at every strength, in the order given; see `train_hybrid`.

    Features are standardised image vectors, of each draw and of the validation images.
    """
    offsets = concept_logits.double()[:, None].expand(-1, len(l2_values), -1, -1)
    solved = solve_logistic_batch(
        features,
        labels,
        concept_logits.shape[2],
        l2_values,
        offsets=offsets,
        class_weight=class_weight,
    )
    weights = torch.cat([torch.zeros_like(solved.weights[:, :1]), solved.weights], 1)
    bias = torch.cat([torch.zeros_like(solved.bias[:, :1]), solved.bias], 1)
    added = validation_features.double() @ weights.mT + bias[:, :, None, :]
    logits = added + validation_concept_logits.double()[:, None]
    losses = held_out_losses(logits, validation_labels[None], class_weight)
    return Residuals(weights, bias, losses)
