"""Every problem of a batch has the optimum that it has alone."""

import pytest
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from curette.tasks.methods.solvers.linear import ClassWeight, NotConverged, regularisation_path
from curette.tasks.methods.solvers.logistic_batch import solve_binary_batch, solve_logistic_batch

_STRENGTHS = (10.0, 0.1, 1e-3, 1e-6)


def _draw(
    draws: int, images: int, dims: int, classes: int
) -> tuple[Float[Tensor, "draw image dim"], Int[Tensor, "draw image"]]:
    generator = torch.Generator().manual_seed(images * dims)
    labels = torch.stack(
        [
            torch.arange(images).remainder(classes)[torch.randperm(images, generator=generator)]
            for _ in range(draws)
        ]
    )
    labels[labels == 1] = labels[labels == 1].clone()
    centres = torch.randn(classes, dims, generator=generator)
    noise = torch.randn(draws, images, dims, generator=generator)
    return (centres[labels] + 2 * noise + 1).double(), labels


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize(
    ("images", "dims", "classes"), [(2, 50, 2), (9, 30, 3), (60, 5, 4), (40, 40, 2)], ids=str
)
def test_a_batch_has_the_objectives_of_the_single_paths(
    images: int, dims: int, classes: int, class_weight: ClassWeight
) -> None:
    features, labels = _draw(3, images, dims, classes)
    batch = solve_logistic_batch(features, labels, classes, _STRENGTHS, class_weight=class_weight)
    for draw in range(3):
        path = regularisation_path(
            features[draw], labels[draw], classes, _STRENGTHS, class_weight=class_weight
        )
        assert batch.objective[draw].tolist() == pytest.approx(path.objective, rel=3e-6)
        for value, l2 in enumerate(_STRENGTHS):
            head = batch.head(draw, value)
            weight = 1 / torch.bincount(labels[draw]).double()
            loss = torch.nn.functional.cross_entropy(
                head.logits(features[draw]),
                labels[draw],
                weight if class_weight == "balanced" else None,
            )
            objective = float(loss + l2 / 2 * head.weights.square().sum())
            assert objective == pytest.approx(float(batch.objective[draw, value]), rel=1e-9)


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_images_that_do_not_count_are_as_if_absent(class_weight: ClassWeight) -> None:
    features, labels = _draw(2, 40, 6, 3)
    counted = torch.arange(40) % torch.tensor([[3], [4]]) > 0
    features[~counted] *= 1e3
    offsets = torch.randn(2, 2, 40, 3, generator=torch.Generator().manual_seed(2)).double()
    solved = solve_logistic_batch(
        *(features, labels, 3, (1.0, 1e-3)),
        counted=counted,
        offsets=offsets,
        class_weight=class_weight,
        tolerance=1e-12,
    )
    for draw, kept in enumerate(counted):
        alone = solve_logistic_batch(
            *(features[[draw]][:, kept], labels[[draw]][:, kept], 3, (1.0, 1e-3)),
            offsets=offsets[[draw]][:, :, kept],
            class_weight=class_weight,
            tolerance=1e-12,
        )
        torch.testing.assert_close(solved.weights[draw], alone.weights[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(solved.bias[draw], alone.bias[0], atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="draw 0 has no image of class 2"):
        solve_logistic_batch(features, labels, 3, (1.0,), counted=labels != 2)


def test_offsets_pull_the_weights_towards_those_that_made_them() -> None:
    features, labels = _draw(1, 40, 6, 3)
    believed = torch.randn(3, 6, generator=torch.Generator().manual_seed(1)).double()
    offsets = (features @ believed.T)[:, None].repeat(1, 2, 1, 1)
    solved = solve_logistic_batch(features, labels, 3, (1e6, 0.1), offsets=offsets, tolerance=1e-12)
    total = (believed + solved.weights).requires_grad_()
    torch.testing.assert_close(total[0, 0], believed, atol=1e-5, rtol=0)
    loss = torch.nn.functional.cross_entropy(
        features[0] @ total[0, 1].T + solved.bias[0, 1], labels[0]
    )
    pull = 0.1 / 2 * (total[0, 1] - believed).square().sum()
    (gradient,) = torch.autograd.grad(loss + pull, total)
    assert float(gradient.abs().max()) < 1e-6  # the optimum of loss plus pull


@pytest.mark.parametrize("seed", [4, 17, 40, 59])
def test_offsets_that_rule_a_class_out_do_not_stop_the_solver(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = 2 * torch.randn(1, 4, 5, generator=generator).double()
    offsets = 8 * torch.randn(1, 1, 4, 4, generator=generator).double()
    labels = torch.arange(4)[None]  # one image a class, as with one shot
    solved = solve_logistic_batch(features, labels, 4, (1e-4,), offsets=offsets, tolerance=1e-9)
    weights, bias = (t[0, 0].requires_grad_() for t in (solved.weights, solved.bias))
    logits = offsets[0, 0] + features[0] @ weights.T + bias
    value = torch.nn.functional.cross_entropy(logits, labels[0])
    value = value + 1e-4 / 2 * weights.square().sum()
    gradients = torch.autograd.grad(value, (weights, bias))
    assert max(float(g.abs().max()) for g in gradients) < 1e-6


def test_yes_no_questions_are_scikit_learns_balanced_regressions() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(80, 6, generator=generator).double() + 1
    direction = torch.randn(6, 3, generator=generator).double()
    positive = (features @ direction + torch.randn(80, 3, generator=generator) > 1).T
    known = torch.rand(3, 80, generator=generator) < 0.8
    solved = solve_binary_batch(features, positive, known, (0.5, 0.01), tolerance=1e-12)
    for question in range(3):
        rows = known[question]
        for value, l2 in enumerate((0.5, 0.01)):
            model = LogisticRegression(
                C=2 / (int(rows.sum()) * l2),
                class_weight="balanced",
                solver="newton-cholesky",
                tol=1e-10,
            ).fit(features[rows].numpy(), positive[question, rows].numpy())
            weights = solved.weights[question, value]
            theirs = torch.from_numpy(model.coef_[0])
            torch.testing.assert_close(weights[1] - weights[0], theirs, atol=1e-5, rtol=1e-4)


def test_an_answer_that_is_not_known_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 4, generator=generator).double()
    positive = torch.rand(1, 30, generator=generator) < 0.5
    known = torch.rand(1, 30, generator=generator) < 0.7
    first = solve_binary_batch(features, positive, known, (0.1,))
    second = solve_binary_batch(features, positive ^ ~known, known, (0.1,))
    assert torch.equal(first.weights, second.weights)


def test_a_draw_without_a_class_is_named() -> None:
    features, labels = _draw(2, 6, 3, 2)
    labels[1] = 0
    with pytest.raises(ValueError, match=r"draw 1 has no image of class 1.*so many of each class"):
        solve_logistic_batch(features, labels, 2, (0.1,))


def test_a_question_that_is_always_yes_is_named() -> None:
    yes = torch.ones(2, 5, dtype=torch.bool)
    answers = torch.tensor([[True, False, True, False, True], [True] * 5])
    with pytest.raises(ValueError, match=r"questions \[1\] have no yes or no no"):
        solve_binary_batch(torch.randn(5, 2), answers, yes, (0.1,))


def test_wild_strengths_and_features_are_refused() -> None:
    features, labels = _draw(1, 6, 3, 2)
    with pytest.raises(ValueError, match="must be positive numbers"):
        solve_logistic_batch(features, labels, 2, (0.0,))
    features[0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="Embed at float32"):
        solve_logistic_batch(features, labels, 2, (0.1,))


def test_a_tolerance_beyond_float64_says_that_there_is_no_answer() -> None:
    features, labels = _draw(1, 20, 3, 2)
    with pytest.raises(NotConverged, match="1 of 1 problems have no optimum"):
        solve_logistic_batch(features * 1e9, labels, 2, (1e-14,), tolerance=1e-300)
