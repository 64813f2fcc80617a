"""Paths solved together are those that each draw has alone."""

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from curette.tasks.methods.solvers.linear import ClassWeight, column_standardisation
from curette.tasks.methods.solvers.sparse import sparse_path
from curette.tasks.methods.solvers.sparse_batch import SparseBatch, solve_sparse_batch

_STRENGTHS = (1.0, 0.5, 0.2, 0.05, 0.01)


def _draw(
    images: int, dims: int, seed: int
) -> tuple[Float[Tensor, "image dim"], Int[Tensor, " image"]]:
    """Standardised columns that are alike, a few of which tell three classes apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % 3
    centres = torch.randn(3, dims, generator=generator)
    shared = 2 * torch.randn(images, 1, generator=generator)
    features = shared + centres[labels] + torch.randn(images, dims, generator=generator)
    return column_standardisation(features).apply(features), labels


def _solve(
    draws: list[tuple[Tensor, Tensor]], class_weight: ClassWeight = "none", most: float = 99
) -> SparseBatch:
    """Solve draws together, filled up to the most columns that one of them has."""
    dims = max(features.shape[1] for features, _ in draws)
    return solve_sparse_batch(
        torch.stack([pad(features, (0, dims - features.shape[1])) for features, _ in draws]),
        torch.stack([labels for _, labels in draws]),
        3,
        _STRENGTHS,
        class_weight=class_weight,
        tolerance=1e-9,
        most_effective_concepts=most,
    )


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_every_draw_has_the_path_it_has_alone(class_weight: ClassWeight) -> None:
    draws = [_draw(20, 5 + seed, seed) for seed in range(4)]
    together = _solve(draws, class_weight)
    for i, (features, labels) in enumerate(draws):
        alone = sparse_path(
            features, labels, 3, _STRENGTHS, class_weight=class_weight, tolerance=1e-9
        )
        dims = features.shape[1]
        theirs = torch.tensor(alone.objective, dtype=torch.float64)
        torch.testing.assert_close(together.objective[i], theirs, rtol=1e-8, atol=0)
        torch.testing.assert_close(
            together.weights[i, ..., :dims], alone.weights, rtol=1e-3, atol=1e-4
        )
        assert (together.gap[i] <= 1e-9 * together.objective[i] + 1e-12).all()
        assert not together.weights[i, ..., dims:].any()


def test_one_image_a_class_is_enough() -> None:
    draws = [_draw(3, 8, seed) for seed in range(5)]
    together = _solve(draws)
    for i, (features, labels) in enumerate(draws):
        alone = sparse_path(features, labels, 3, _STRENGTHS, tolerance=1e-9)
        assert together.objective[i].tolist() == pytest.approx(alone.objective, rel=1e-8)


def test_a_path_that_reached_the_nec_stands_still_and_the_others_go_on() -> None:
    draws = [_draw(30, 6, 0), _draw(30, 2, 1)]
    together = _solve(draws, most=2.5)  # the second has two concepts, so it never ends
    alone = sparse_path(*draws[0], 3, _STRENGTHS, tolerance=1e-9, most_effective_concepts=2.5)
    ended = len(alone.strengths)
    assert ended < len(_STRENGTHS)
    assert torch.equal(together.weights[0, ended:], together.weights[0, ended - 1 : -1])
    assert not torch.equal(together.weights[1, -1], together.weights[1, -2])


def test_the_order_of_draws_does_not_matter() -> None:
    draws = [_draw(12, 6, seed) for seed in range(3)]
    forwards, backwards = _solve(draws), _solve(draws[::-1])
    torch.testing.assert_close(forwards.weights, backwards.weights.flip(0), rtol=1e-6, atol=1e-9)


def test_a_draw_whose_images_are_all_the_same_has_no_weights() -> None:
    features, labels = _draw(6, 4, 0)
    together = _solve([(0 * features, labels), (features, labels)])
    assert not together.weights[0].any()
    assert together.weights[1].any()
    torch.testing.assert_close(
        together.bias[0].softmax(1), torch.full((5, 3), 1 / 3, dtype=torch.float64)
    )
