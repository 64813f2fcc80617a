"""Elastic-net paths of many draws at once; see `methods.solvers.sparse` for objective and method.

The draws go down the strengths together, each at shares of its own largest one. Logits, biases,
gradients, gaps, Hessians of free weights and line searches are one batch of all draws that are not
solved yet; the lasso of each Newton step is scikit-learn's, a draw at a time. Draws with fewer
concepts than others are filled up with scores of zero, to which no weight is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.head_batch import batch_shares
from curette.tasks.methods.solvers.linear import ClassWeight, NotConverged
from curette.tasks.methods.solvers.sparse import L1_SHARE, lasso

_MOST_STEPS = 100  # Newton steps of one strength; a handful is usual
_MOST_BIAS_STEPS = 50
_BIAS_TOLERANCE = 1e-13  # largest gradient of the bias; the shares of classes sum to 1
_FORCING = 0.1  # the lasso's gap, of the tolerance, falls by this factor with every Newton step
_SMALLEST_STRIDE = 1e-10
_NOISE = 1e-13  # nats

_Weights = Float64[Tensor, "draw class dim"]
_Bias = Float64[Tensor, "draw class"]
_Logits = Float64[Tensor, "draw class image"]
_PerDraw = Float64[Tensor, " draw"]


@dataclass(frozen=True)
class SparseBatch:
    """The optimum of every draw at every strength, strongest first.

    A path that ended early stands still from there.
    """

    weights: Float64[Tensor, "draw value class dim"]
    bias: Float64[Tensor, "draw value class"]
    objective: Float64[Tensor, "draw value"]
    gap: Float64[Tensor, "draw value"]  # the objective is at most this far above its minimum


def solve_sparse_batch(
    features: Float[Tensor, "draw image dim"],
    labels: Int[Tensor, "draw image"],
    class_count: int,
    strengths: Sequence[float],
    *,
    l1_share: float = L1_SHARE,
    class_weight: ClassWeight = "none",
    tolerance: float = 1e-6,
    most_effective_concepts: float = float("inf"),
) -> SparseBatch:
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
        NotConverged: a gap did not close.
    """
    one_hot = torch.nn.functional.one_hot(labels, class_count).double().mT
    shares = batch_shares(labels, class_count, class_weight)
    problem = _Problem(features.double(), one_hot, shares[:, None])
    bias = (one_hot * shares[:, None]).sum(2).log()
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
    return SparseBatch(*(torch.stack(column, 1) for column in zip(*path, strict=True)))


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
