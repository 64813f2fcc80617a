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
from curette.tasks.methods.solvers.linear import ClassWeight, check_validation
from curette.tasks.methods.solvers.logistic_batch import solve_logistic_batch

_NOISE = 1e-12  # nats


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
    """Train, for every draw, the residual of a concept head that stands still at every strength.

    Args:
        features: standardised image vectors of each draw's images.
        labels: theirs; every class occurs.
        concept_logits: the concept heads', of the same images.
        validation_features: of images that are not trained on, standardised likewise.
        validation_concept_logits: theirs, by each draw's concept head.
        validation_labels: theirs.
        l2_values: strengths tried, falling; ties go to the strongest, and to no residual first.
        class_weight: "balanced" lets every class count the same, on validation images too.

    Raises:
        ValueError: there is no validation image, or a residual cannot be trained.
    """
    check_validation(validation_labels)
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
