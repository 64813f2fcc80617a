"""A hybrid adds to its concept head only what validation images ask for."""

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from curette.tasks.methods.solvers.hybrid import train_hybrid
from curette.tasks.methods.solvers.linear import balanced_accuracy

_STRENGTHS = (100.0, 1.0, 0.01)


def _draw(
    images: int, seed: int, left_out: float
) -> tuple[Float[Tensor, "image class"], Float[Tensor, "image dim"], Int[Tensor, " image"]]:
    """A concept head that is right about half of what decides, and vectors that know the rest."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images).remainder(2)
    way = 2.0 * labels - 1
    seen = way + 1.5 * torch.randn(images, generator=generator)
    vectors = torch.randn(images, 8, generator=generator)
    vectors[:, 0] += left_out * way
    return torch.stack([-seen, seen], 1).double(), vectors, labels


def test_what_concepts_leave_out_is_found_in_the_vectors() -> None:
    hybrid = train_hybrid(*_draw(200, 0, 2.0), *_draw(100, 1, 2.0), _STRENGTHS)
    concepts, vectors, labels = _draw(1000, 2, 2.0)
    with_residual = balanced_accuracy(hybrid.logits(concepts, vectors), labels)
    assert with_residual > balanced_accuracy(concepts, labels) + 0.05
    assert hybrid.l2 in _STRENGTHS


def test_without_a_residual_the_hybrid_is_the_concept_head_to_the_last_bit() -> None:
    train, validation = _draw(30, 0, 0.0), _draw(300, 1, 0.0)
    calibrated = torch.nn.functional.one_hot(train[2], 2).double() * 40 - 20
    held = torch.nn.functional.one_hot(validation[2], 2).double() * 40 - 20
    hybrid = train_hybrid(
        -calibrated, train[1], train[2], held, validation[1], validation[2], _STRENGTHS
    )
    assert hybrid.l2 is None
    assert torch.equal(hybrid.logits(held, validation[1]), held)
    assert hybrid.flipped_share(held, validation[1]) == 0


def test_the_strength_is_that_of_least_validation_loss() -> None:
    validation = _draw(100, 1, 1.0)
    hybrid = train_hybrid(*_draw(200, 0, 1.0), *validation, _STRENGTHS)
    losses = hybrid.validation_loss
    cross_entropy = torch.nn.functional.cross_entropy
    assert losses[0] == pytest.approx(float(cross_entropy(validation[0], validation[2])))
    chosen = cross_entropy(hybrid.logits(validation[0], validation[1]), validation[2])
    assert float(chosen) == pytest.approx(min(losses))
    assert hybrid.l2 == (None, *_STRENGTHS)[losses.index(min(losses))]


def test_flipped_decisions_are_counted() -> None:
    hybrid = train_hybrid(*_draw(200, 0, 2.0), *_draw(100, 1, 2.0), _STRENGTHS)
    concepts, vectors, _ = _draw(50, 2, 2.0)
    logits = concepts + vectors.double() @ hybrid.residual.weights.T + hybrid.residual.bias
    flips = [int(a.argmax()) != int(b.argmax()) for a, b in zip(logits, concepts, strict=True)]
    assert hybrid.flipped_share(concepts, vectors) == pytest.approx(sum(flips) / 50)
    assert 0 < sum(flips) < 50


def test_empty_validation_and_an_empty_set_are_refused() -> None:
    train, validation = _draw(20, 0, 1.0), _draw(20, 1, 1.0)
    with pytest.raises(ValueError, match="the test images must not choose"):
        train_hybrid(*train, validation[0][:0], validation[1][:0], validation[2][:0], _STRENGTHS)
    hybrid = train_hybrid(*train, *validation, _STRENGTHS)
    with pytest.raises(ValueError, match="no decision that a residual could flip"):
        hybrid.flipped_share(train[0][:0], train[1][:0])
