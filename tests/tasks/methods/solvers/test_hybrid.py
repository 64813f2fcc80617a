"""A hybrid adds to its concept head only what validation images ask for."""

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from curette.tasks.methods.solvers.hybrid import Residuals, train_residuals
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


def _train(*data: Tensor) -> Residuals:
    """Train the residual of a single draw."""
    concepts, vectors, labels, held_concepts, held_vectors, held_labels = data
    return train_residuals(
        vectors[None],
        labels[None],
        concepts[None],
        held_vectors,
        held_concepts[None],
        held_labels,
        _STRENGTHS,
    )


def test_what_concepts_leave_out_is_found_in_the_vectors() -> None:
    residuals = _train(*_draw(200, 0, 2.0), *_draw(100, 1, 2.0))
    concepts, vectors, labels = _draw(1000, 2, 2.0)
    with_residual = concepts + residuals.chosen().logits(vectors)[0]
    assert balanced_accuracy(with_residual, labels) > balanced_accuracy(concepts, labels) + 0.05
    assert residuals.best.item() > 0


def test_without_a_residual_the_hybrid_is_the_concept_head_to_the_last_bit() -> None:
    train, validation = _draw(30, 0, 0.0), _draw(300, 1, 0.0)
    calibrated = torch.nn.functional.one_hot(train[2], 2).double() * 40 - 20
    held = torch.nn.functional.one_hot(validation[2], 2).double() * 40 - 20
    residuals = _train(-calibrated, train[1], train[2], held, validation[1], validation[2])
    assert residuals.best.item() == 0
    assert not residuals.chosen().weights.any()
    assert not residuals.chosen().bias.any()


def test_the_strength_is_that_of_least_validation_loss() -> None:
    concepts, vectors, labels = _draw(100, 1, 1.0)
    residuals = _train(*_draw(200, 0, 1.0), concepts, vectors, labels)
    losses = residuals.validation_loss[0].tolist()
    cross_entropy = torch.nn.functional.cross_entropy
    assert losses[0] == pytest.approx(float(cross_entropy(concepts, labels)))
    chosen = cross_entropy(concepts + residuals.chosen().logits(vectors)[0], labels)
    assert float(chosen) == pytest.approx(min(losses))
    assert residuals.best.item() == losses.index(min(losses))


def test_empty_validation_is_refused() -> None:
    nothing = tuple(part[:0] for part in _draw(20, 1, 1.0))
    with pytest.raises(ValueError, match="the test images must not choose"):
        _train(*_draw(20, 0, 1.0), *nothing)
