"""Elastic-net multinomial logistic regression for a path of strengths, and heads of a given NEC.

With images x_i of class y_i, shares s_i that sum to 1 and p_i = softmax(W x_i + b),

    f(W, b) = -sum_i s_i log p_i[y_i] + l1 ||W||_1 + (l2 / 2) ||W||^2,
    l1 = a * strength,    l2 = (1 - a) * strength         (the bias b is not penalised)

which is GLM-SAGA's objective (Wong, Santurkar and Madry, ICML 2021, section 2), with a = 0.99 in
label-free CBM (Oikarinen et al., ICLR 2023, section 3.3). s_i = 1/n for class weight "none" and
1/(K n_k) for "balanced". Strengths are shares of the smallest one at which W is zero.

The solver is the proximal Newton method (Lee, Sun and Saunders, 2014; glmnet is one). The weights
that are not zero, or may not stay so, have a dense Hessian, of which the bias is eliminated; the
quadratic with the penalty is a lasso of that many rows, which scikit-learn's coordinate descent
solves. The cost is that of the weights that are there, not of all concepts x classes. SAGA needs
thousands of passes where concept scores are near-duplicates of each other and has no certificate.
With G the gradient of the loss in W and S soft thresholding at l1,

    gap = l1 ||W||_1 + (l2 / 2) ||W||^2 + <G, W> + ||S(G)||^2 / (2 l2)

is at least f - min f by Fenchel's inequality (the loss and its conjugate meet at p_i; the bias is
solved before, so that p is dual feasible to within rounding).

NEC, the number of effective concepts, is the number of weights that are not zero over K
(Srivastava, Yan and Weng, NeurIPS 2024, section 4: VLG-CBM).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.linear import (
    Choice,
    ClassWeight,
    Criterion,
    LinearHead,
    NotConverged,
    balanced_accuracy,
    check_validation,
    cross_entropy,
    image_shares,
)

Refit = Literal["bias", "weights"]

STRENGTHS = tuple(10 ** (-4 * i / 59) for i in range(60))  # as shares of the largest
L1_SHARE = 0.99
_MOST_STEPS = 100  # Newton steps of one strength; a handful is usual
_MOST_SWEEPS = 2000  # of coordinate descent in one Newton step
_FORCING = 0.1  # its gap, of the tolerance, falls by this factor with every Newton step
_MOST_BIAS_STEPS = 50
_BIAS_TOLERANCE = 1e-13  # largest gradient of the bias; the shares of classes sum to 1
_SMALLEST_STRIDE = 1e-10
_NOISE = 1e-13  # nats

_Weights = Float64[Tensor, "class dim"]
_Bias = Float64[Tensor, " class"]
_Probabilities = Float64[Tensor, "image class"]


@dataclass(frozen=True)
class SparsePath:
    """The optimum at every strength, strongest first."""

    strengths: tuple[float, ...]  # as shares of `largest_strength`
    largest_strength: float  # the smallest at which no weight is left
    l1_share: float
    class_weight: ClassWeight
    weights: Float64[Tensor, "value class dim"]
    bias: Float64[Tensor, "value class"]
    objective: tuple[float, ...]
    gap: tuple[float, ...]  # the objective is at most this far above its minimum
    nec: tuple[float, ...]

    def head(self, index: int) -> LinearHead:
        """Return the head at one strength."""
        return LinearHead(self.weights[index], self.bias[index])


def effective_concepts(weights: Float[Tensor, "class dim"]) -> float:
    """Return NEC: weights that are not zero, per class."""
    return int((weights != 0).sum()) / len(weights)


def sparse_path(
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    class_count: int,
    strengths: Sequence[float] = STRENGTHS,
    *,
    l1_share: float = L1_SHARE,
    class_weight: ClassWeight = "none",
    tolerance: float = 1e-6,
    most_effective_concepts: float = float("inf"),
) -> SparsePath:
    """Minimise f at every strength, from strong to weak; each starts from the one before.

    Args:
        features: standardised concept scores; see `methods.solvers.linear.column_standardisation`.
        labels: in `0 .. class_count - 1`; every class occurs.
        class_count: K, at least 2.
        strengths: shares of the largest strength, falling, in (0, 1].
        l1_share: a, above 0 and below 1: without L2 there is no finite gap.
        class_weight: "balanced" lets every class count the same.
        tolerance: the largest duality gap as a share of the objective.
        most_effective_concepts: the path ends with the first strength whose NEC reaches this.

    Raises:
        ValueError: strengths do not fall or are not shares, `l1_share` is not between 0 and 1, or
            a class has no image, or no feature tells the classes apart.
        NotConverged: the gap did not close.
    """
    _check(features, labels, class_count, strengths, l1_share)
    shares = image_shares(labels, class_count, class_weight)
    one_hot = torch.nn.functional.one_hot(labels, class_count).double()
    problem = _Problem(features.double(), one_hot, shares)
    bias = problem.class_shares().log()
    weights = bias.new_zeros(class_count, features.shape[1])
    pull, _ = problem.gradient(bias.softmax(0).expand(len(labels), -1))
    largest = float(pull.abs().max()) / l1_share
    if largest <= _NOISE:
        raise ValueError(
            "no feature tells the classes apart in the least; usually all scores are constant. "
            "Look at the images and the concepts, then embed them again."
        )
    solved: list[tuple[_Weights, _Bias, float, float]] = []
    for share in strengths:
        strength = share * largest
        penalty = _Penalty(l1_share * strength, (1 - l1_share) * strength)
        weights, bias, value, gap = _minimise(problem, penalty, weights, bias, tolerance)
        solved.append((weights, bias, value, gap))
        if effective_concepts(weights) >= most_effective_concepts:
            break
    return SparsePath(
        strengths=tuple(strengths[: len(solved)]),
        largest_strength=largest,
        l1_share=l1_share,
        class_weight=class_weight,
        weights=torch.stack([each[0] for each in solved]),
        bias=torch.stack([each[1] for each in solved]),
        objective=tuple(each[2] for each in solved),
        gap=tuple(each[3] for each in solved),
        nec=tuple(effective_concepts(each[0]) for each in solved),
    )


def _check(
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    class_count: int,
    strengths: Sequence[float],
    l1_share: float,
) -> None:
    if not strengths or not all(0 < share <= 1 for share in strengths):
        raise ValueError(
            f"strengths are shares of the largest, above 0 and at most 1, got {list(strengths)}."
        )
    if any(weaker >= stronger for stronger, weaker in pairwise(strengths)):
        raise ValueError(
            f"strengths must fall, got {list(strengths)}; each solution starts the next. "
            "Pass sorted(set(strengths), reverse=True)."
        )
    if not 0 < l1_share < 1:
        raise ValueError(
            f"l1_share must lie between 0 and 1, got {l1_share:g}; at 1 there is no certificate, "
            "and near-duplicate concepts have no unique weights. Use 0.99."
        )
    if not features.isfinite().all():
        raise ValueError(
            "a feature is not finite; usually half precision overflowed. Embed at float32."
        )
    counts = torch.bincount(labels, minlength=class_count)
    if len(counts) > class_count or class_count < 2:
        raise ValueError(
            f"labels must lie in 0 .. {class_count - 1} and there must be at least 2 classes; "
            "usually the class list is that of another dataset. Take both from the same one."
        )
    if not counts.all():
        raise ValueError(
            f"classes {(counts == 0).nonzero().flatten().tolist()} have no training image, so "
            "their bias has no optimum; usually a split lost a rare class. Split by class, or "
            "leave those classes out."
        )


@dataclass(frozen=True)
class _Penalty:
    l1: float
    l2: float

    def value(self, weights: _Weights) -> float:
        """Return l1 ||W||_1 + (l2 / 2) ||W||^2."""
        return float(self.l1 * weights.abs().sum() + self.l2 / 2 * weights.square().sum())

    def gap(self, weights: _Weights, gradient: _Weights) -> float:
        """Return the penalty, its conjugate at -G, and <G, W>: at least 0 in every entry."""
        beyond = (gradient.abs() - self.l1).clamp(min=0)
        each = (
            self.l1 * weights.abs()
            + self.l2 / 2 * weights.square()
            + gradient * weights
            + beyond.square() / (2 * self.l2)
        )
        return float(each.sum())


@dataclass(frozen=True)
class _Problem:
    """The smooth part of f."""

    features: Float64[Tensor, "image dim"]
    one_hot: Float64[Tensor, "image class"]
    shares: Float64[Tensor, " image"]

    def class_shares(self) -> _Bias:
        """Return what each class weighs."""
        return self.shares @ self.one_hot

    def loss(self, logits: Float64[Tensor, "image class"]) -> float:
        """Return the cross-entropy."""
        return float(self.shares @ (logits.logsumexp(1) - (self.one_hot * logits).sum(1)))

    def gradient(self, probabilities: _Probabilities) -> tuple[_Weights, _Bias]:
        """Return that of the loss in W and b."""
        residual = (probabilities - self.one_hot) * self.shares[:, None]
        return residual.T @ self.features, residual.sum(0)

    def bias_curvature(self, probabilities: _Probabilities) -> Float64[Tensor, "class class"]:
        """Return the Hessian of the bias, made invertible along the shift that changes nothing."""
        weighted = probabilities * self.shares[:, None]
        curvature = torch.diag(weighted.sum(0)) - weighted.T @ probabilities
        return curvature + 1 / probabilities.shape[1]

    def solve_bias(
        self, without: Float64[Tensor, "image class"], bias: _Bias
    ) -> tuple[_Bias, _Probabilities]:
        """Return the best bias for logits that lack one, by Newton steps, and the probabilities."""
        for _ in range(_MOST_BIAS_STEPS):
            probabilities = (without + bias).softmax(1)
            gradient = self.shares @ (probabilities - self.one_hot)
            if float(gradient.abs().max()) <= _BIAS_TOLERANCE:
                break
            step = torch.linalg.solve(self.bias_curvature(probabilities), gradient)
            value, stride = self.loss(without + bias), 1.0
            while self.loss(without + bias - stride * step) > value + _NOISE:
                stride /= 2
            bias = bias - stride * step
        return bias, (without + bias).softmax(1)


def _minimise(
    problem: _Problem, penalty: _Penalty, weights: _Weights, bias: _Bias, tolerance: float
) -> tuple[_Weights, _Bias, float, float]:
    """Return weights, bias, objective and gap once the gap is small enough."""
    for step in range(_MOST_STEPS):
        logits = problem.features @ weights.T
        bias, probabilities = problem.solve_bias(logits, bias)
        value = problem.loss(logits + bias) + penalty.value(weights)
        gradient, of_bias = problem.gradient(probabilities)
        gap = penalty.gap(weights, gradient) + float((of_bias * bias).sum().abs())
        if gap <= tolerance * value + _NOISE:
            return weights, bias, value, gap
        free = (weights != 0) | (gradient.abs() > penalty.l1)
        enough = _FORCING ** (step + 1) * tolerance * value
        direction, of_bias_direction = _newton_direction(
            problem, penalty, weights, gradient, probabilities, free, enough
        )
        logit_direction = problem.features @ direction.T + of_bias_direction
        expected = float((gradient * direction).sum()) - penalty.value(weights)
        expected += penalty.value(weights + direction)  # below zero: the model falls
        stride = 1.0
        while stride > _SMALLEST_STRIDE:
            reached = weights + stride * direction
            reached_loss = problem.loss(logits + bias + stride * logit_direction)
            if reached_loss + penalty.value(reached) <= value + 1e-4 * stride * expected + _NOISE:
                break
            stride /= 2
        weights, bias = reached, bias + stride * of_bias_direction
    raise NotConverged(
        f"the duality gap is still {gap:.1e} at an objective of {value:.3g}; usually the features "
        "are on a wild scale or the strength is too small for them. Standardise the scores, or "
        "leave the weakest strengths out."
    )


def _quadratic_model(
    problem: _Problem, probabilities: _Probabilities, free: Bool[Tensor, "class dim"]
) -> tuple[Float64[Tensor, "free free"], Float64[Tensor, "class free"]]:
    """Return the Hessian of the loss in the free weights, the bias following them, and how it does.

    With H the Hessian in the free weights, H_b the part they share with the bias and C that of the
    bias alone, these are H - H_b C^-1 H_b^T and C^-1 H_b^T.
    """
    classes, columns = free.nonzero(as_tuple=True)
    features = problem.features[:, columns]
    seen = probabilities[:, classes] * features
    weighted = seen * problem.shares[:, None]
    hessian = (weighted.T @ features) * (classes[:, None] == classes) - weighted.T @ seen
    with_bias = -(weighted.T @ probabilities)
    with_bias[torch.arange(len(classes)), classes] += weighted.sum(0)
    follow = torch.linalg.solve(problem.bias_curvature(probabilities), with_bias.T)
    return hessian - with_bias @ follow, follow


def _newton_direction(
    problem: _Problem,
    penalty: _Penalty,
    weights: _Weights,
    gradient: _Weights,
    probabilities: _Probabilities,
    free: Bool[Tensor, "class dim"],
    enough: float,
) -> tuple[_Weights, _Bias]:
    """Return the step to the minimum of the quadratic model of the loss, plus the penalty.

    The root of the model's Hessian plus l2 makes it the squares of a lasso.
    """
    model, follow = _quadratic_model(problem, probabilities, free)
    start = weights[free]
    curved = model + penalty.l2 * torch.eye(len(model)).double()
    root, failed = torch.linalg.cholesky_ex(curved)
    if failed:
        raise NotConverged(
            "rounding hides the curvature of the loss; usually the features are on a wild scale. "
            "Standardise the scores, or leave the weakest strengths out."
        )
    slope = model @ start - gradient[free]
    target = torch.linalg.solve_triangular(root, slope[:, None], upper=False)[:, 0]
    solved = lasso(
        root.T.numpy(),
        curved.numpy(),
        target.numpy(),
        slope.numpy(),
        start.numpy(),
        penalty.l1,
        enough,
    )
    change = torch.from_numpy(solved) - start
    direction = torch.zeros_like(weights)
    direction[free] = change
    return direction, -(follow @ change)


def lasso(
    root: Float64[np.ndarray, "weight weight"],
    gram: Float64[np.ndarray, "weight weight"],
    target: Float64[np.ndarray, " weight"],
    slope: Float64[np.ndarray, " weight"],
    start: Float64[np.ndarray, " weight"],
    l1: float,
    enough: float,
) -> Float64[np.ndarray, " weight"]:
    """Return the w that minimises ||R w - t||^2 / 2 + l1 ||w||_1, to a duality gap of `enough`.

    R^T R and R^T t are passed too, on which a sweep over weights that stay zero costs nothing.
    scikit-learn checks its arguments for longer than it solves a small lasso, so that is left out.
    """
    from sklearn import config_context
    from sklearn.linear_model import lasso_path

    with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore")  # an inexact direction costs a step, not the answer
        _, path, _ = lasso_path(
            np.asfortranarray(root),
            target,
            alphas=[l1 / len(root)],
            coef_init=start.copy(),  # it is written to
            precompute=np.ascontiguousarray(gram),
            Xy=slope.copy(),
            check_input=False,
            tol=enough / float(target @ target),
            max_iter=_MOST_SWEEPS,
        )
    return np.asarray(path[:, 0])


def choose_sparse(
    path: SparsePath,
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    criterion: Criterion,
) -> Choice:
    """Choose a strength by images that the path was not trained on; ties go to the sparsest.

    The log loss weighs classes as the path does.

    Raises:
        ValueError: there is no validation image.
    """
    check_validation(labels)
    logits = [path.head(i).logits(features.double()) for i in range(len(path.nec))]
    losses = tuple(float(cross_entropy(each, labels, path.class_weight)) for each in logits)
    accuracies = tuple(balanced_accuracy(each, labels) for each in logits)
    scores = accuracies if criterion == "balanced_accuracy" else tuple(-loss for loss in losses)
    index = next(i for i, score in enumerate(scores) if score >= max(scores) - _NOISE)
    return Choice(index, losses, accuracies)


def truncate_to_nec(
    path: SparsePath,
    nec: float,
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    refit: Refit = "bias",
) -> LinearHead:
    """Return a head with exactly round(nec * K) weights, for comparing methods at equal NEC.

    The first point of the path with at least so many is taken, and its smallest weights are set to
    zero (Srivastava, Yan and Weng, 2024, section 4, who leave the rest as it is). Then the bias is
    solved again, "bias", or the bias and the weights that are left, with the point's l2 and without
    its l1, which had shrunk them, "weights".

    Args:
        path: long enough to reach the NEC; see `most_effective_concepts`.
        nec: effective concepts wanted, above 0.
        features: of the training images, as the path had them.
        labels: theirs.
        refit: what is solved again.

    Raises:
        ValueError: the path does not reach the NEC, or less than one weight is wanted.
    """
    class_count = path.weights.shape[1]
    wanted = round(nec * class_count)
    if wanted < 1:
        raise ValueError(f"NEC {nec:g} is less than one weight for {class_count} classes.")
    counts = (path.weights != 0).sum((1, 2)).tolist()
    index = next((i for i, count in enumerate(counts) if count >= wanted), None)
    if index is None:
        raise ValueError(
            f"the path reaches NEC {max(path.nec):g}, not {nec:g}; usually there are fewer "
            "concepts than that, or the path ended too early. Ask for a smaller NEC, or add "
            "weaker strengths."
        )
    weights = path.weights[index].clone()
    order = weights.abs().flatten().argsort(descending=True, stable=True)
    weights.view(-1)[order[wanted:]] = 0
    problem = _Problem(
        features.double(),
        torch.nn.functional.one_hot(labels, class_count).double(),
        image_shares(labels, class_count, path.class_weight),
    )
    bias = path.bias[index]
    if refit == "weights":
        l2 = (1 - path.l1_share) * path.strengths[index] * path.largest_strength
        return _refit_support(problem, l2, weights, bias)
    bias, _ = problem.solve_bias(problem.features @ weights.T, bias)
    return LinearHead(weights, bias)


def _refit_support(problem: _Problem, l2: float, weights: _Weights, bias: _Bias) -> LinearHead:
    """Minimise the loss plus (l2 / 2) ||W||^2 over the weights that are not zero."""
    free = weights != 0
    penalty = _Penalty(0.0, l2)
    for _ in range(_MOST_STEPS):
        logits = problem.features @ weights.T
        bias, probabilities = problem.solve_bias(logits, bias)
        value = problem.loss(logits + bias) + penalty.value(weights)
        gradient = ((problem.gradient(probabilities)[0]) + l2 * weights)[free]
        if float(gradient.square().sum()) / (2 * l2) <= 1e-6 * value + _NOISE:
            return LinearHead(weights, bias)
        model, follow = _quadratic_model(problem, probabilities, free)
        model = model + l2 * torch.eye(len(model), dtype=model.dtype)
        change = -torch.linalg.solve(model, gradient)
        slope, stride = float(gradient @ change), 1.0
        while stride > _SMALLEST_STRIDE:
            reached = weights.clone()
            reached[free] += stride * change
            reached_bias = bias - stride * (follow @ change)
            reached_loss = problem.loss(problem.features @ reached.T + reached_bias)
            if reached_loss + penalty.value(reached) <= value + 1e-4 * stride * slope + _NOISE:
                break
            stride /= 2
        weights, bias = reached, reached_bias
    raise NotConverged(
        "the weights that are left have no optimum within 1e-6 of the objective; usually the "
        'features are on a wild scale. Standardise the scores, or refit the "bias" alone.'
    )
