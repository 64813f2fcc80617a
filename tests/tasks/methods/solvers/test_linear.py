"""The path is scikit-learn's optimum at every strength, and validation alone chooses from it."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from curette.tasks.methods.solvers.linear import (
    ClassWeight,
    LinearHead,
    NotConverged,
    RegularisationPath,
    balanced_accuracy,
    choose_by_validation,
    column_standardisation,
    cross_entropy,
    global_standardisation,
    regularisation_path,
)

_STRENGTHS = (1e3, 1.0, 1e-1, 1e-2, 1e-4)


def _draw(
    images: int, dims: int, classes: int, seed: int = 0
) -> tuple[Float[Tensor, "image dim"], Int[Tensor, " image"]]:
    """Overlapping classes of falling size, in correlated columns of unlike scale and offset."""
    generator = np.random.default_rng(seed)
    shares = 0.6 ** np.arange(classes)
    labels = generator.choice(classes, images, p=shares / shares.sum())
    labels[:classes] = range(classes)
    centres = generator.normal(size=(classes, dims))
    mixing = generator.normal(size=(dims, dims)) * 0.7 ** np.arange(dims)[:, None]
    features = (centres[labels] + 2 * generator.normal(size=(images, dims))) @ mixing + 3
    return torch.from_numpy(features), torch.from_numpy(labels)


def _objective(
    features: Tensor, labels: Tensor, weights: Tensor, bias: Tensor, l2: float, balanced: bool
) -> float:
    """f, written with torch's own cross-entropy."""
    by_class = 1 / torch.bincount(labels).double() if balanced else None
    loss = torch.nn.functional.cross_entropy(features @ weights.T + bias, labels, by_class)
    return float(loss + l2 / 2 * weights.square().sum())


def _scikit_learn(
    features: Tensor, labels: Tensor, l2: float, class_weight: ClassWeight
) -> tuple[Tensor, Tensor]:
    classes = int(labels.max()) + 1
    model = LogisticRegression(
        C=(2 if classes == 2 else 1) / (len(labels) * l2),
        class_weight=None if class_weight == "none" else class_weight,
        solver="newton-cholesky",
        tol=1e-10,
        max_iter=1000,
    ).fit(features.numpy(), labels.numpy())
    weights, bias = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
    if classes == 2:
        return torch.cat([-weights, weights]) / 2, torch.cat([-bias, bias]) / 2
    return weights, bias


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize(
    ("images", "dims", "classes"), [(300, 12, 5), (200, 8, 2), (40, 90, 3)], ids=str
)
def test_every_strength_is_scikit_learns_optimum(
    images: int, dims: int, classes: int, class_weight: ClassWeight
) -> None:
    features, labels = _draw(images, dims, classes)
    path = regularisation_path(features, labels, classes, _STRENGTHS, class_weight=class_weight)
    for i, l2 in enumerate(_STRENGTHS):
        ours = _objective(
            features, labels, path.weights[i], path.bias[i], l2, class_weight == "balanced"
        )
        weights, bias = _scikit_learn(features, labels, l2, class_weight)
        theirs = _objective(features, labels, weights, bias, l2, class_weight == "balanced")
        assert ours == pytest.approx(path.objective[i], rel=1e-9)
        assert theirs * (1 - 1e-9) <= ours <= theirs * (1 + 2e-6)


def test_a_tight_tolerance_gives_scikit_learns_weights() -> None:
    features, labels = _draw(300, 12, 4)
    path = regularisation_path(features, labels, 4, (0.1, 0.01), tolerance=1e-13)
    weights, bias = _scikit_learn(features, labels, 0.01, "none")
    np.testing.assert_allclose(path.weights[1], weights, atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(
        path.bias[1] - path.bias[1].mean(), bias - bias.mean(), atol=1e-4, rtol=1e-4
    )


def test_starting_from_stronger_solutions_changes_no_optimum() -> None:
    features, labels = _draw(200, 10, 3)
    path = regularisation_path(features, labels, 3, _STRENGTHS)
    for l2, objective in zip(_STRENGTHS, path.objective, strict=True):
        alone = regularisation_path(features, labels, 3, (l2,)).objective[0]
        assert objective == pytest.approx(alone, rel=2e-6)


def test_weaker_regularisation_fits_better_with_larger_weights() -> None:
    features, labels = _draw(200, 10, 3)
    path = regularisation_path(features, labels, 3, _STRENGTHS)
    norms = path.weights.square().sum((1, 2)).tolist()
    assert norms == sorted(norms)
    assert list(path.train_loss) == sorted(path.train_loss, reverse=True)
    penalties = [l2 / 2 * norm for l2, norm in zip(_STRENGTHS, norms, strict=True)]
    assert np.add(path.train_loss, penalties) == pytest.approx(path.objective)


def test_infinite_regularisation_leaves_the_frequency_of_each_class() -> None:
    features, labels = _draw(200, 10, 3)
    head = regularisation_path(features, labels, 3, (1e12,)).head(0)
    frequencies = torch.bincount(labels) / len(labels)
    predicted = head.logits(features).softmax(1).mean(0)
    np.testing.assert_allclose(predicted, frequencies.double(), atol=1e-5, rtol=0)


def test_balanced_classes_count_as_if_each_had_been_repeated_to_the_same_size() -> None:
    features, labels = _draw(60, 5, 2)
    counts = torch.bincount(labels)
    copies = int(torch.lcm(counts[0], counts[1])) // counts
    repeated = torch.repeat_interleave(torch.arange(60), copies[labels])
    balanced = regularisation_path(features, labels, 2, (0.1,), class_weight="balanced")
    plain = regularisation_path(features[repeated], labels[repeated], 2, (0.1,))
    assert balanced.objective[0] == pytest.approx(plain.objective[0], rel=2e-6)


def test_separable_classes_are_solved_at_a_tiny_strength() -> None:
    features = torch.tensor([[-1.0, 0], [-2, 1], [1, 0], [2, -1]], dtype=torch.float64)
    path = regularisation_path(features, torch.tensor([0, 0, 1, 1]), 2, (1.0, 1e-10))
    assert path.train_loss[1] < 1e-6


def test_equal_input_gives_equal_weights() -> None:
    features, labels = _draw(100, 10, 3)
    first, second = (regularisation_path(features, labels, 3, _STRENGTHS) for _ in range(2))
    assert torch.equal(first.weights, second.weights)
    assert torch.equal(first.bias, second.bias)


def test_a_probe_of_noise_predicts_shuffled_labels_no_better_than_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(900, 20, generator=generator)
    labels = torch.randint(0, 3, (900,), generator=generator)
    head = regularisation_path(features[:300], labels[:300], 3, (0.1,)).head(0)
    share = balanced_accuracy(head.logits(features[300:].double()), labels[300:])
    assert abs(share - 1 / 3) < 0.06  # three standard errors


@pytest.mark.parametrize("standardise", [global_standardisation, column_standardisation])
def test_folding_moves_standardisation_into_the_head(standardise: object) -> None:
    assert callable(standardise)
    features, labels = _draw(80, 6, 3)
    standardisation = standardise(features)
    standardised = standardisation.apply(features)
    head = regularisation_path(standardised, labels, 3, (0.1,)).head(0)
    folded = standardisation.fold(head)
    np.testing.assert_allclose(folded.logits(features), head.logits(standardised))


def test_a_logit_is_the_sum_of_its_contributions_and_the_bias() -> None:
    features, labels = _draw(50, 6, 3)
    head = regularisation_path(features, labels, 3, (0.1,)).head(0)
    contributions = features[:, None, :] * head.weights
    np.testing.assert_allclose(contributions.sum(2) + head.bias, head.logits(features))


def test_global_standardisation_keeps_angles_and_column_standardisation_keeps_no_scale() -> None:
    features, _ = _draw(80, 6, 3)
    centred = features - features.mean(0)
    whole = global_standardisation(features).apply(features)
    cosine = torch.nn.functional.cosine_similarity
    np.testing.assert_allclose(cosine(whole[:1], whole), cosine(centred[:1], centred))
    assert float(whole.var(0, correction=0).mean()) == pytest.approx(1)
    each = column_standardisation(features).apply(features)
    np.testing.assert_allclose(each.var(0, correction=0), torch.ones(6, dtype=torch.float64))


def test_a_constant_column_is_centred_and_gets_no_weight() -> None:
    features, labels = _draw(80, 6, 3)
    features[:, 2] = 0.3
    standardised = column_standardisation(features).apply(features)
    assert standardised[:, 2].abs().max() < 1e-12
    path = regularisation_path(standardised, labels, 3, (0.1,))
    assert path.weights[0, :, 2].abs().max() < 1e-9


def _path_of(heads: Sequence[LinearHead]) -> RegularisationPath:
    count = len(heads)
    return RegularisationPath(
        l2_values=tuple(10.0**-i for i in range(count)),
        class_weight="none",
        weights=torch.stack([head.weights for head in heads]),
        bias=torch.stack([head.bias for head in heads]),
        objective=(1.0,) * count,
        train_loss=(1.0,) * count,
        newton_steps=(1,) * count,
        hessian_products=(1,) * count,
    )


def test_validation_chooses_by_log_loss_and_ties_go_to_the_strongest() -> None:
    right = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    no_bias = torch.zeros(2, dtype=torch.float64)
    # useless, right, right and sure twice, wrong
    heads = [LinearHead(right * scale, no_bias) for scale in (0, 1, 5, 5, -1)]
    features = torch.tensor([[-1.0], [2.0]], dtype=torch.float64)
    choice = choose_by_validation(_path_of(heads), features, torch.tensor([0, 1]))
    assert choice.index == 2
    assert choice.validation_loss[0] == pytest.approx(np.log(2))
    assert choice.validation_balanced_accuracy == (0.5, 1.0, 1.0, 1.0, 0.0)


def test_balanced_means_leave_out_classes_without_images() -> None:
    logits = torch.tensor([[2.0, 0, 0], [0.0, 1, 0], [3.0, 0, 0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1])
    assert balanced_accuracy(logits, labels) == pytest.approx((1 / 2 + 0) / 2)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    expected = (losses[:2].mean() + losses[2]) / 2
    np.testing.assert_allclose(cross_entropy(logits, labels, "balanced"), expected)
    np.testing.assert_allclose(cross_entropy(logits, labels, "none"), losses.mean())


def test_a_class_without_images_says_that_the_split_lost_it() -> None:
    features, labels = _draw(50, 4, 3)
    with pytest.raises(ValueError, match=r"classes \[3\] have no training image.*lost a rare"):
        regularisation_path(features, labels, 4, (0.1,))


def test_a_label_beyond_the_classes_says_where_to_look() -> None:
    features, labels = _draw(50, 4, 3)
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 1 .* another dataset"):
        regularisation_path(features, labels, 2, (0.1,))


def test_features_that_overflowed_name_the_row() -> None:
    features, labels = _draw(50, 4, 3)
    features[7, 1] = torch.inf
    with pytest.raises(ValueError, match=r"1 of 50 images .* row 7; .* Embed at float32"):
        regularisation_path(features, labels, 3, (0.1,))


@pytest.mark.parametrize(
    ("strengths", "words"),
    [
        ((0.1, 0.0), "without regularisation separable classes have no optimum"),
        ((), "must be positive numbers"),
        ((0.1, 0.1), r"Pass sorted\(set\(l2_values\), reverse=True\)"),
        ((0.1, 1.0), "must fall"),
    ],
)
def test_strengths_that_are_not_positive_and_falling_are_refused(
    strengths: tuple[float, ...], words: str
) -> None:
    features, labels = _draw(50, 4, 3)
    with pytest.raises(ValueError, match=words):
        regularisation_path(features, labels, 3, strengths)


def test_a_tolerance_beyond_float64_says_that_there_is_no_answer() -> None:
    features, labels = _draw(50, 4, 3)
    with pytest.raises(NotConverged, match="Standardise the features"):
        regularisation_path(features, labels, 3, (1e-3,), tolerance=1e-40)


def test_blank_images_are_noticed() -> None:
    with pytest.raises(ValueError, match="all 5 images have the same features"):
        global_standardisation(torch.full((5, 3), 0.1))


def test_choosing_without_validation_images_is_refused() -> None:
    head = LinearHead(torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="the test images must not choose"):
        choose_by_validation(_path_of([head]), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
