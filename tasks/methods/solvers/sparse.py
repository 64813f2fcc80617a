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

The draws go down the strengths together, each at shares of its own largest one. Logits, biases,
gradients, gaps, Hessians of free weights and line searches are one batch of all draws that are not
solved yet; the lasso of each Newton step is scikit-learn's, a draw at a time. Draws with fewer
concepts than others are filled up with scores of zero, to which no weight is given.
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

from curette.tasks.methods.solvers.head_batch import batch_shares
from curette.tasks.methods.solvers.linear import ClassWeight, LinearHead, NotConverged

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

_Weights = Float64[Tensor, "draw class dim"]
_Bias = Float64[Tensor, "draw class"]
_Logits = Float64[Tensor, "draw class image"]
_PerDraw = Float64[Tensor, " draw"]


@dataclass(frozen=True)
class SparsePaths:
    """The optimum of every draw at every strength, strongest first.

    A path that ended early stands still from there.
    """

    strengths: tuple[float, ...]  # as shares of each draw's largest
    largest_strength: _PerDraw  # the smallest at which no weight is left
    l1_share: float
    class_weight: ClassWeight
    weights: Float64[Tensor, "draw value class dim"]
    bias: Float64[Tensor, "draw value class"]
    objective: Float64[Tensor, "draw value"]
    gap: Float64[Tensor, "draw value"]  # the objective is at most this far above its minimum

    @property
    def nec(self) -> Float64[Tensor, "draw value"]:
        """Effective concepts of every point."""
        return (self.weights != 0).sum((2, 3)).double() / self.weights.shape[2]


def sparse_paths(
    features: Float[Tensor, "draw image dim"],
    labels: Int[Tensor, "draw image"],
    class_count: int,
    strengths: Sequence[float] = STRENGTHS,
    *,
    l1_share: float = L1_SHARE,
    class_weight: ClassWeight = "none",
    tolerance: float = 1e-6,
    most_effective_concepts: float = float("inf"),
) -> SparsePaths:
    """Minimise f for every draw, from strong to weak; each strength starts from the one before.

    A draw in which no feature tells the classes apart has weights of zero.

    Args:
        features: standardised concept scores of each draw's images.
        labels: theirs; every class occurs in every draw.
        class_count: K, at least 2.
        strengths: shares of a draw's largest strength, falling, in (0, 1].
        l1_share: a, above 0 and below 1.
        class_weight: "balanced" lets every class of a draw count the same.
        tolerance: the largest duality gap as a share of the objective.
        most_effective_concepts: a path ends with the first strength whose NEC reaches this.

    Raises:
        ValueError: strengths do not fall or are not shares, `l1_share` is not between 0 and 1, a
            feature is not finite, or a draw lacks a class.
        NotConverged: a gap did not close.
    """
    _check(features, labels, class_count, strengths, l1_share)
    problem = _Problem.of(features, labels, class_count, class_weight)
    one_hot, shares = problem.one_hot, problem.shares
    bias = (one_hot * shares).sum(2).log()
    weights = bias.new_zeros(*bias.shape, features.shape[2])
    pull = problem.gradient(bias.softmax(1)[..., None].expand_as(one_hot))
    largest = pull.abs().amax((1, 2)) / l1_share
    largest = largest.where(largest > _NOISE, 1.0)
    value, gap = torch.zeros_like(largest), torch.zeros_like(largest)
    path: list[tuple[_Weights, _Bias, _PerDraw, _PerDraw]] = []
    for share in strengths:
        nec = (weights != 0).sum((1, 2)) / class_count
        going = (nec < most_effective_concepts).nonzero()[:, 0]
        if len(going):
            penalty = _Penalty(l1_share * share * largest, (1 - l1_share) * share * largest)
            solved = _minimise(
                problem.take(going), penalty.take(going), weights[going], bias[going], tolerance
            )
            before = (weights, bias, value, gap)
            weights, bias, value, gap = (
                old.index_copy(0, going, new) for old, new in zip(before, solved, strict=True)
            )
        path.append((weights, bias, value, gap))
    columns = [torch.stack(column, 1) for column in zip(*path, strict=True)]
    return SparsePaths(tuple(strengths), largest, l1_share, class_weight, *columns)


def _check(
    features: Float[Tensor, "draw image dim"],
    labels: Int[Tensor, "draw image"],
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
    if class_count < 2 or bool(((labels < 0) | (labels >= class_count)).any()):
        raise ValueError(
            f"labels must lie in 0 .. {class_count - 1} and there must be at least 2 classes; "
            "usually the class list is that of another dataset. Take both from the same one."
        )
    absent = torch.nn.functional.one_hot(labels, class_count).sum(1).eq(0).any(0)
    if absent.any():
        raise ValueError(
            f"classes {absent.nonzero().flatten().tolist()} have no training image, so their bias "
            "has no optimum; usually a split lost a rare class. Split by class, or leave those "
            "classes out."
        )


@dataclass(frozen=True)
class _Penalty:
    l1: _PerDraw
    l2: _PerDraw

    def take(self, draws: Int[Tensor, " some"]) -> "_Penalty":
        """Return those of some draws."""
        return _Penalty(self.l1[draws], self.l2[draws])

    def value(self, weights: _Weights) -> _PerDraw:
        """Return l1 ||W||_1 + (l2 / 2) ||W||^2."""
        return self.l1 * weights.abs().sum((1, 2)) + self.l2 / 2 * weights.square().sum((1, 2))

    def gap(self, weights: _Weights, gradient: _Weights) -> _PerDraw:
        """Return the penalty, its conjugate at -G, and <G, W>: at least 0."""
        beyond = (gradient.abs() - self.l1[:, None, None]).clamp(min=0).square().sum((1, 2))
        return self.value(weights) + (gradient * weights).sum((1, 2)) + beyond / (2 * self.l2)


@dataclass(frozen=True)
class _Problem:
    """The smooth part of f."""

    features: Float64[Tensor, "draw image dim"]
    one_hot: _Logits
    shares: Float64[Tensor, "draw 1 image"]

    @classmethod
    def of(
        cls,
        features: Float[Tensor, "draw image dim"],
        labels: Int[Tensor, "draw image"],
        class_count: int,
        class_weight: ClassWeight,
    ) -> "_Problem":
        """Take the images of every draw."""
        one_hot = torch.nn.functional.one_hot(labels, class_count).double().mT
        shares = batch_shares(labels, class_count, class_weight)
        return cls(features.double(), one_hot, shares[:, None])

    def take(self, draws: Int[Tensor, " some"]) -> "_Problem":
        """Return that of some draws."""
        return _Problem(self.features[draws], self.one_hot[draws], self.shares[draws])

    def loss(self, logits: _Logits) -> _PerDraw:
        """Return the cross-entropy."""
        missed = logits.logsumexp(1) - (self.one_hot * logits).sum(1)
        return (self.shares[:, 0] * missed).sum(1)

    def gradient(self, probabilities: _Logits) -> _Weights:
        """Return that of the loss in W."""
        return ((probabilities - self.one_hot) * self.shares) @ self.features

    def bias_curvature(self, probabilities: _Logits) -> Float64[Tensor, "draw class class"]:
        """Return the Hessian of the bias, made invertible along the shift that changes nothing."""
        weighted = probabilities * self.shares
        curvature = torch.diag_embed(weighted.sum(2)) - weighted @ probabilities.mT
        return curvature + 1 / probabilities.shape[1]

    def solve_bias(self, without: _Logits, bias: _Bias) -> tuple[_Bias, _Logits]:
        """Return the best bias for logits that lack one, by Newton steps, and the probabilities."""
        for _ in range(_MOST_BIAS_STEPS):
            logits = without + bias[..., None]
            probabilities = logits.softmax(1)
            gradient = ((probabilities - self.one_hot) * self.shares).sum(2)
            if float(gradient.abs().max()) <= _BIAS_TOLERANCE:
                break
            step = torch.linalg.solve(self.bias_curvature(probabilities), gradient)
            value, stride = self.loss(logits), torch.ones_like(bias[:, 0])
            while True:
                reached = bias - stride[:, None] * step
                worse = self.loss(without + reached[..., None]) > value + _NOISE
                if not worse.any():
                    break
                stride = torch.where(worse, stride / 2, stride)
            bias = reached
        return bias, (without + bias[..., None]).softmax(1)


def _minimise(
    problem: _Problem, penalty: _Penalty, weights: _Weights, bias: _Bias, tolerance: float
) -> tuple[_Weights, _Bias, _PerDraw, _PerDraw]:
    """Return weights, bias, objective and gap once each draw's gap is small enough."""
    at_work = torch.arange(len(weights))
    ends = [weights.clone(), bias.clone(), bias.new_zeros(len(bias)), bias.new_zeros(len(bias))]
    for step in range(_MOST_STEPS):
        logits = weights @ problem.features.mT
        bias, probabilities = problem.solve_bias(logits, bias)
        value = problem.loss(logits + bias[..., None]) + penalty.value(weights)
        gradient = problem.gradient(probabilities)
        of_bias = ((probabilities - problem.one_hot) * problem.shares).sum(2)
        gap = penalty.gap(weights, gradient) + (of_bias * bias).sum(1).abs()
        for end, now in zip(ends, (weights, bias, value, gap), strict=True):
            end[at_work] = now
        going = (gap > tolerance * value + _NOISE).nonzero()[:, 0]
        if not len(going):
            return ends[0], ends[1], ends[2], ends[3]
        at_work, problem, penalty = at_work[going], problem.take(going), penalty.take(going)
        weights, bias, value, gradient, logits, probabilities = (
            each[going] for each in (weights, bias, value, gradient, logits, probabilities)
        )
        enough = _FORCING ** (step + 1) * tolerance * value
        direction, of_bias_direction = _newton_direction(
            problem, penalty, weights, gradient, probabilities, enough
        )
        expected = (gradient * direction).sum((1, 2)) - penalty.value(weights)
        expected = expected + penalty.value(weights + direction)  # below zero: the model falls
        with_bias = logits + bias[..., None]
        logit_direction = direction @ problem.features.mT + of_bias_direction[..., None]
        stride = torch.ones_like(value)
        while True:
            scaled = stride[:, None, None]
            reached = problem.loss(with_bias + scaled * logit_direction)
            reached = reached + penalty.value(weights + scaled * direction)
            short = reached > value + 1e-4 * stride * expected + _NOISE
            short = short & (stride > _SMALLEST_STRIDE)
            if not short.any():
                break
            stride = torch.where(short, stride / 2, stride)
        weights = weights + stride[:, None, None] * direction
        bias = bias + stride[:, None] * of_bias_direction
    raise NotConverged(
        f"the duality gap of {len(at_work)} draws is still up to {float(gap.max()):.1e}; usually "
        "the features are on a wild scale or the strength is too small for them. Standardise the "
        "scores, or leave the weakest strengths out."
    )


@dataclass(frozen=True)
class _Model:
    """The quadratic model of the loss in each draw's free weights, filled up with zeros."""

    place: Int[Tensor, "draw free"]  # in the flattened weights
    there: Bool[Tensor, "draw free"]  # False where a draw has fewer free weights than others
    hessian: Float64[Tensor, "draw free free"]
    follow: Float64[Tensor, "draw class free"]  # how the bias goes along

    @classmethod
    def of(
        cls, problem: _Problem, probabilities: _Logits, free: Bool[Tensor, "draw class dim"]
    ) -> "_Model":
        """Return the Hessian in the free weights with the bias eliminated, and how it follows."""
        counts = free.sum((1, 2))
        most, dim = int(counts.max()), free.shape[2]
        place = free.flatten(1).byte().argsort(dim=1, descending=True, stable=True)[:, :most]
        there = torch.arange(most) < counts[:, None]
        classes, columns = place // dim, place % dim
        draws = torch.arange(len(free))[:, None]
        features = problem.features.mT[draws, columns] * there[..., None]
        seen = probabilities[draws, classes] * features
        weighted = seen * problem.shares
        alike = classes[:, :, None] == classes[:, None, :]
        hessian = (weighted @ features.mT) * alike - weighted @ seen.mT
        with_bias = -(weighted @ probabilities.mT)
        with_bias.scatter_add_(2, classes[..., None], weighted.sum(2, keepdim=True))
        follow = torch.linalg.solve(problem.bias_curvature(probabilities), with_bias.mT)
        return cls(place, there, hessian - with_bias @ follow, follow)


def _newton_direction(
    problem: _Problem,
    penalty: _Penalty,
    weights: _Weights,
    gradient: _Weights,
    probabilities: _Logits,
    enough: _PerDraw,
) -> tuple[_Weights, _Bias]:
    """Return the step to the minimum of each draw's quadratic model, plus the penalty."""
    free = (weights != 0) | (gradient.abs() > penalty.l1[:, None, None])
    model = _Model.of(problem, probabilities, free)
    start = weights.flatten(1).gather(1, model.place)
    curved = model.hessian + torch.diag_embed(penalty.l2[:, None].expand_as(start))
    root, failed = torch.linalg.cholesky_ex(curved)
    if failed.any():
        raise NotConverged(
            "rounding hides the curvature of the loss; usually the features are on a wild scale. "
            "Standardise the scores, or leave the weakest strengths out."
        )
    slope = (model.hessian @ start[..., None])[..., 0]
    slope = slope - gradient.flatten(1).gather(1, model.place) * model.there
    target = torch.linalg.solve_triangular(root, slope[..., None], upper=False)[..., 0]
    change = torch.zeros_like(start)
    for i, count in enumerate(model.there.sum(1).tolist()):
        solved = lasso(
            root[i, :count, :count].mT.numpy(),
            curved[i, :count, :count].numpy(),
            target[i, :count].numpy(),
            slope[i, :count].numpy(),
            start[i, :count].numpy(),
            float(penalty.l1[i]),
            float(enough[i]),
        )
        change[i, :count] = torch.from_numpy(solved) - start[i, :count]
    direction = torch.zeros_like(weights).flatten(1).scatter_add(1, model.place, change)
    return direction.reshape(weights.shape), -(model.follow @ change[..., None])[..., 0]


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


def truncate_to_nec(
    paths: SparsePaths,
    draw: int,
    nec: float,
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    refit: Refit = "bias",
) -> LinearHead:
    """Return a head with exactly round(nec * K) weights, for comparing methods at equal NEC.

    The first point of the draw's path with at least so many is taken, and its smallest weights are
    set to zero (Srivastava, Yan and Weng, 2024, section 4, who leave the rest). Then the bias is
    solved again, "bias", or the bias and the weights that are left, with the point's l2 and without
    its l1, which had shrunk them, "weights".

    Args:
        paths: long enough to reach the NEC; see `most_effective_concepts`.
        draw: which of them.
        nec: effective concepts wanted, above 0.
        features: of the draw's images, as the path had them.
        labels: theirs.
        refit: what is solved again.

    Raises:
        ValueError: the path does not reach the NEC, or less than one weight is wanted.
    """
    class_count = paths.weights.shape[2]
    wanted = round(nec * class_count)
    if wanted < 1:
        raise ValueError(f"NEC {nec:g} is less than one weight for {class_count} classes.")
    counts = (paths.weights[draw] != 0).sum((1, 2))
    if int(counts.max()) < wanted:
        raise ValueError(
            f"the path reaches NEC {float(paths.nec[draw].max()):g}, not {nec:g}; usually there "
            "are fewer concepts than that, or the path ended too early. Ask for a smaller NEC, or "
            "add weaker strengths."
        )
    index = int((counts >= wanted).byte().argmax())
    weights = paths.weights[draw, index].clone()
    order = weights.abs().flatten().argsort(descending=True, stable=True)
    weights.view(-1)[order[wanted:]] = 0
    problem = _Problem.of(features[None], labels[None], class_count, paths.class_weight)
    kept, bias = weights[None], paths.bias[draw, index][None]
    if refit == "weights":
        strength = paths.strengths[index] * paths.largest_strength[draw]
        return _refit_support(problem, (1 - paths.l1_share) * strength[None], kept, bias)
    bias, _ = problem.solve_bias(kept @ problem.features.mT, bias)
    return LinearHead(weights, bias[0])


def _refit_support(problem: _Problem, l2: _PerDraw, weights: _Weights, bias: _Bias) -> LinearHead:
    """Minimise one draw's loss plus (l2 / 2) ||W||^2 over the weights that are not zero."""
    free = weights != 0
    penalty = _Penalty(torch.zeros_like(l2), l2)
    for _ in range(_MOST_STEPS):
        logits = weights @ problem.features.mT
        bias, probabilities = problem.solve_bias(logits, bias)
        value = problem.loss(logits + bias[..., None]) + penalty.value(weights)
        gradient = (problem.gradient(probabilities) + l2 * weights)[free]
        if float(gradient.square().sum() / (2 * l2)) <= 1e-6 * float(value) + _NOISE:
            return LinearHead(weights[0], bias[0])
        model = _Model.of(problem, probabilities, free)
        curved = model.hessian[0] + l2 * torch.eye(len(gradient), dtype=l2.dtype)
        change = -torch.linalg.solve(curved, gradient)
        slope, stride = float(gradient @ change), 1.0
        while stride > _SMALLEST_STRIDE:
            reached = weights.clone()
            reached[free] += stride * change
            reached_bias = bias - stride * (model.follow @ change)
            found = problem.loss(reached @ problem.features.mT + reached_bias[..., None])
            if float(found + penalty.value(reached) - value) <= 1e-4 * stride * slope + _NOISE:
                break
            stride /= 2
        weights, bias = reached, reached_bias
    raise NotConverged(
        "the weights that are left have no optimum within 1e-6 of the objective; usually the "
        'features are on a wild scale. Standardise the scores, or refit the "bias" alone.'
    )
