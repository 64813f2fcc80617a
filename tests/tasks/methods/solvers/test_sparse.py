"""The sparse path is scikit-learn's optimum with a certificate, and truncation hits the NEC."""

from functools import cache

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import pad

from curette.tasks.methods.solvers.linear import ClassWeight, NotConverged, column_standardisation
from curette.tasks.methods.solvers.sparse import SparsePaths, sparse_paths, truncate_to_nec

_STRENGTHS = (1.0, 0.5, 0.2, 0.05, 0.01, 0.001)


def _draw(
    images: int, dims: int, classes: int, seed: int = 0
) -> tuple[Float[Tensor, "image dim"], Int[Tensor, " image"]]:
    """Standardised, strongly correlated columns, a few of which tell the classes apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images).remainder(classes + 1) % classes  # class 0 twice as often
    centres = torch.randn(classes, dims, generator=generator)
    shared = 2 * torch.randn(images, 2, generator=generator)
    mixed = shared @ torch.randn(2, dims, generator=generator)
    features = mixed + centres[labels] + torch.randn(images, dims, generator=generator)
    return column_standardisation(features).apply(features), labels


@cache
def _whole_path() -> SparsePaths:
    """The path of `_draw(200, 30, 3)`, which several tests look at."""
    features, labels = _draw(200, 30, 3)
    return sparse_paths(features[None], labels[None], 3)


def _objective(
    features: Tensor, labels: Tensor, weights: Tensor, bias: Tensor, l1: float, l2: float, how: str
) -> float:
    by_class = 1 / torch.bincount(labels).double() if how == "balanced" else None
    loss = torch.nn.functional.cross_entropy(features @ weights.T + bias, labels, by_class)
    return float(loss + l1 * weights.abs().sum() + l2 / 2 * weights.square().sum())


def _penalties(path: SparsePaths, index: int) -> tuple[float, float]:
    strength = path.strengths[index] * float(path.largest_strength)
    return path.l1_share * strength, (1 - path.l1_share) * strength


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("share", [0.99, 0.5])
def test_the_objective_is_that_of_scikit_learns_saga(
    class_weight: ClassWeight, share: float
) -> None:
    features, labels = _draw(120, 8, 3)
    path = sparse_paths(
        features[None], labels[None], 3, _STRENGTHS[:4], l1_share=share, class_weight=class_weight
    )
    for i in range(1, 4):
        l1, l2 = _penalties(path, i)
        model = LogisticRegression(
            solver="saga",
            l1_ratio=share,
            C=1 / (len(labels) * (l1 + l2)),
            class_weight=None if class_weight == "none" else class_weight,
            tol=1e-7,
            max_iter=20000,
            random_state=0,
        ).fit(features.numpy(), labels.numpy())
        theirs = _objective(
            features,
            labels,
            torch.from_numpy(model.coef_),
            torch.from_numpy(model.intercept_),
            l1,
            l2,
            class_weight,
        )
        ours = _objective(
            features, labels, path.weights[0, i], path.bias[0, i], l1, l2, class_weight
        )
        assert ours == pytest.approx(float(path.objective[0, i]), rel=1e-9)
        assert ours == pytest.approx(theirs, rel=1e-4)
        assert ours <= theirs * (1 + 1e-6)


def test_the_gap_bounds_what_is_left() -> None:
    features, labels = _draw(150, 20, 4)
    rough = sparse_paths(features[None], labels[None], 4, _STRENGTHS, tolerance=1e-2)
    exact = sparse_paths(features[None], labels[None], 4, _STRENGTHS, tolerance=1e-9)
    for far, gap, near in zip(rough.objective[0], rough.gap[0], exact.objective[0], strict=True):
        assert near - 1e-12 <= far <= near + gap
        assert gap <= 1e-2 * far + 1e-12


def test_a_point_meets_the_conditions_of_its_optimum() -> None:
    features, labels = _draw(150, 20, 4)
    path = sparse_paths(features[None], labels[None], 4, _STRENGTHS, tolerance=1e-10)
    for i in range(1, len(_STRENGTHS)):
        l1, l2 = _penalties(path, i)
        weights = path.weights[0, i].clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(features @ weights.T + path.bias[0, i], labels)
        (gradient,) = torch.autograd.grad(loss + l2 / 2 * weights.square().sum(), weights)
        kept = weights.detach() != 0
        signs = weights.detach().sign()[kept]
        torch.testing.assert_close(gradient[kept], -l1 * signs, atol=1e-4 * l1 + 1e-7, rtol=0)
        assert float(gradient[~kept].abs().max()) <= l1 * (1 + 1e-4)


def test_the_largest_strength_leaves_no_weight_and_the_frequencies() -> None:
    features, labels = _draw(150, 20, 4)
    path = sparse_paths(features[None], labels[None], 4, (1.0, 0.99))
    assert path.nec[0, 0] == 0 < path.nec[0, 1]
    frequencies = torch.bincount(labels).double() / len(labels)
    torch.testing.assert_close(path.bias[0, 0].softmax(0), frequencies)


def test_weaker_strengths_have_more_effective_concepts() -> None:
    path = _whole_path()
    assert np.diff(path.nec[0]).min() >= -2 / 3  # a weight may leave as others enter
    assert np.corrcoef(path.nec[0], np.log(path.strengths))[0, 1] < -0.9
    assert path.nec[0, -1] > 8


def test_a_path_ends_where_enough_concepts_are_effective() -> None:
    features, labels = _draw(200, 30, 3)
    path = sparse_paths(features[None], labels[None], 3, most_effective_concepts=5)
    (ended,) = (path.nec[0] >= 5).nonzero()[:1, 0].tolist()
    assert path.nec[0, ended - 1] < 5
    assert (path.weights[0, ended:] == path.weights[0, ended]).all()


@pytest.mark.parametrize("refit", ["bias", "weights"])
@pytest.mark.parametrize("nec", [1, 3, 5])
def test_truncation_has_the_wanted_nec_exactly(nec: int, refit: str) -> None:
    features, labels = _draw(200, 30, 3)
    path = _whole_path()
    head = truncate_to_nec(path, 0, nec, features, labels, refit)  # type: ignore[arg-type]
    assert int((head.weights != 0).sum()) == 3 * nec
    taken = next(i for i, have in enumerate(path.nec[0]) if have >= nec)
    dropped = path.weights[0, taken][head.weights == 0].abs()
    assert float(dropped.max()) <= float(path.weights[0, taken][head.weights != 0].abs().min())


def test_refitting_the_bias_restores_the_frequencies_and_weights_the_fit() -> None:
    features, labels = _draw(200, 30, 3)
    path = _whole_path()
    bias_only = truncate_to_nec(path, 0, 2, features, labels)
    predicted = bias_only.logits(features).softmax(1).mean(0)
    torch.testing.assert_close(predicted, torch.bincount(labels).double() / 200)
    whole = truncate_to_nec(path, 0, 2, features, labels, "weights")
    loss = torch.nn.functional.cross_entropy
    assert loss(whole.logits(features), labels) < loss(bias_only.logits(features), labels)


def test_refitted_weights_are_those_of_a_regression_on_their_columns() -> None:
    features, labels = _draw(200, 30, 3)
    path = _whole_path()
    head = truncate_to_nec(path, 0, 3, features, labels, "weights")
    weights, bias = head.weights.clone().requires_grad_(), head.bias.clone().requires_grad_()
    index = next(i for i, have in enumerate(path.nec[0]) if have >= 3)
    _, l2 = _penalties(path, index)
    loss = torch.nn.functional.cross_entropy(features @ weights.T + bias, labels)
    objective = loss + l2 / 2 * weights.square().sum()
    of_weights, of_bias = torch.autograd.grad(objective, (weights, bias))
    assert float(of_weights[head.weights != 0].abs().max()) < 1e-3 * l2 + 1e-5
    assert float(of_bias.abs().max()) < 1e-9


def test_permuting_concepts_permutes_the_weights() -> None:
    features, labels = _draw(150, 12, 3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    path = sparse_paths(features[None], labels[None], 3, _STRENGTHS, tolerance=1e-11)
    permuted = sparse_paths(features[None, :, order], labels[None], 3, _STRENGTHS, tolerance=1e-11)
    torch.testing.assert_close(permuted.weights, path.weights[..., order], atol=1e-4, rtol=1e-3)


def test_a_nec_beyond_the_path_says_how_far_it_reaches() -> None:
    features, labels = _draw(100, 6, 3)
    path = sparse_paths(features[None], labels[None], 3, (1.0, 0.5))
    with pytest.raises(ValueError, match=r"reaches NEC [\d.]+, not 30; .* weaker strengths"):
        truncate_to_nec(path, 0, 30, features, labels)
    with pytest.raises(ValueError, match="less than one weight for 3 classes"):
        truncate_to_nec(path, 0, 0.1, features, labels)


@pytest.mark.parametrize(
    ("strengths", "share", "words"),
    [
        ((1.0, 0.0), 0.9, "above 0 and at most 1"),
        ((0.1, 0.5), 0.9, "must fall"),
        ((0.5,), 1.0, "Use 0.99"),
    ],
)
def test_settings_without_an_answer_are_refused(
    strengths: tuple[float, ...], share: float, words: str
) -> None:
    features, labels = _draw(50, 4, 2)
    with pytest.raises(ValueError, match=words):
        sparse_paths(features[None], labels[None], 2, strengths, l1_share=share)


def test_broken_data_is_refused() -> None:
    features, labels = _draw(50, 4, 2)
    with pytest.raises(ValueError, match=r"classes \[2\] have no training image"):
        sparse_paths(features[None], labels[None], 3)
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 1"):
        sparse_paths(features[None], labels[None] + 1, 2)
    features[3, 1] = torch.nan
    with pytest.raises(ValueError, match="Embed at float32"):
        sparse_paths(features[None], labels[None], 2)


def test_features_on_a_wild_scale_say_so() -> None:
    features, labels = _draw(50, 4, 2)
    with pytest.raises(NotConverged, match=r"on a wild scale\. Standardise the scores"):
        sparse_paths(1e7 * features[None], labels[None], 2, (1e-9,), tolerance=1e-300)


# --- draws together --------------------------------------------------------------------------


def _small(
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
) -> SparsePaths:
    """Solve draws together, filled up to the most columns that one of them has."""
    dims = max(features.shape[1] for features, _ in draws)
    return sparse_paths(
        torch.stack([pad(features, (0, dims - features.shape[1])) for features, _ in draws]),
        torch.stack([labels for _, labels in draws]),
        3,
        _STRENGTHS[:5],
        class_weight=class_weight,
        tolerance=1e-9,
        most_effective_concepts=most,
    )


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_every_draw_has_the_path_it_has_alone(class_weight: ClassWeight) -> None:
    draws = [_small(20, 5 + seed, seed) for seed in range(4)]
    together = _solve(draws, class_weight)
    for i, (features, labels) in enumerate(draws):
        alone = sparse_paths(
            features[None],
            labels[None],
            3,
            _STRENGTHS[:5],
            class_weight=class_weight,
            tolerance=1e-9,
        )
        dims = features.shape[1]
        torch.testing.assert_close(together.objective[i], alone.objective[0], rtol=1e-8, atol=0)
        torch.testing.assert_close(
            together.weights[i, ..., :dims], alone.weights[0], rtol=1e-3, atol=1e-4
        )
        assert (together.gap[i] <= 1e-9 * together.objective[i] + 1e-12).all()
        assert not together.weights[i, ..., dims:].any()


def test_one_image_a_class_is_enough() -> None:
    draws = [_small(3, 8, seed) for seed in range(5)]
    together = _solve(draws)
    for i, (features, labels) in enumerate(draws):
        alone = sparse_paths(features[None], labels[None], 3, _STRENGTHS[:5], tolerance=1e-9)
        assert together.objective[i].tolist() == pytest.approx(
            alone.objective[0].tolist(), rel=1e-8
        )


def test_a_path_that_reached_the_nec_stands_still_and_the_others_go_on() -> None:
    draws = [_small(30, 6, 0), _small(30, 2, 1)]
    together = _solve(draws, most=2.5)  # the second has two concepts, so it never ends
    ended = int((together.nec[0] < 2.5).sum()) + 1
    assert ended < len(_STRENGTHS[:5])
    assert torch.equal(together.weights[0, ended:], together.weights[0, ended - 1 : -1])
    assert not torch.equal(together.weights[1, -1], together.weights[1, -2])


def test_the_order_of_draws_does_not_matter() -> None:
    draws = [_small(12, 6, seed) for seed in range(3)]
    forwards, backwards = _solve(draws), _solve(draws[::-1])
    torch.testing.assert_close(forwards.weights, backwards.weights.flip(0), rtol=1e-6, atol=1e-9)


def test_a_draw_whose_images_are_all_the_same_has_no_weights() -> None:
    features, labels = _small(6, 4, 0)
    together = _solve([(0 * features, labels), (features, labels)])
    assert not together.weights[0].any()
    assert together.weights[1].any()
    torch.testing.assert_close(
        together.bias[0].softmax(1), torch.full((5, 3), 1 / 3, dtype=torch.float64)
    )
