"""Many logistic regressions solved as one: every draw of images at every strength, in one batch.

Problem (d, v), draw d at value v, has images x_i of class y_i, shares s_i that sum to 1, fixed
offsets o_i and p_i = softmax(o_i + W x_i + b), and minimises

    f(W, b) = -sum_i s_i log p_i[y_i]  +  (l2_v / 2) ||W||^2          (the bias b is not penalised)

Offsets turn the penalty into a pull towards any weights W_0: with o_i = W_0 x_i the sum W_0 + W is
the minimum of the same loss plus (l2 / 2) ||W_0 + W - W_0||^2.

It is the Newton method of `linear`, with the same preconditioner and stopping rule, but
each matrix product is one of all problems. A draw of n images of d dimensions is solved in its
min(n, d) principal axes, found through the smaller of the n x n Gram matrix and the d x d
covariance: a few-shot problem on long vectors costs what its images cost (the dual form). No
problem starts from another one, so nothing waits for anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.linear import ClassWeight, LinearHead, NotConverged

_FORCING = 0.1  # a Newton step is solved until its residual has shrunk by this factor
_MOST_PRODUCTS = 200  # Hessian products of one Newton step
_MOST_STEPS = 200  # Newton steps; separable images at a tiny strength take the most
_SMALLEST_CHANGE = 1e-10  # of a logit in a line search; below it rounding decides
_NOISE = 1e-12  # nats; offsets alone may leave an objective so small that only rounding is left

_Parameters = Float64[Tensor, "draw value class axis"]
_Logits = Float64[Tensor, "draw value class image"]
_PerProblem = Float64[Tensor, "draw value"]


@dataclass(frozen=True)
class LogisticBatch:
    """The optimum of every problem."""

    weights: Float64[Tensor, "draw value class dim"]
    bias: Float64[Tensor, "draw value class"]
    objective: Float64[Tensor, "draw value"]

    def head(self, draw: int, value: int) -> LinearHead:
        """Return the head of one problem."""
        return LinearHead(self.weights[draw, value], self.bias[draw, value])


def solve_logistic_batch(
    features: Float[Tensor, "draw image dim"],
    labels: Int[Tensor, "draw image"],
    class_count: int,
    l2_values: Sequence[float],
    *,
    counted: Bool[Tensor, "draw image"] | None = None,
    offsets: Float[Tensor, "draw value image class"] | None = None,
    class_weight: ClassWeight = "none",
    tolerance: float = 1e-6,
) -> LogisticBatch:
    """Minimise f for every draw and value.

    A problem is solved once ||g_W||^2 / (2 l2) + g_b^T H_b^-1 g_b / 2 <= tolerance * f,
    plus 1e-12; see
    `methods.solvers.linear.regularisation_path` for why that bounds what is left.

    Args:
        features: of the images of each draw; used as given.
        labels: theirs, in `0 .. class_count - 1`; every class occurs in every draw.
        counted: which images are in a draw, where draws differ in their number; none means all.
        class_count: K, at least 2.
        l2_values: positive, in any order; values may repeat where offsets differ.
        offsets: logits that are there already; none means zero.
        class_weight: "balanced" lets every class of a draw count the same.
        tolerance: the largest relative excess of the objective over its minimum.

    Raises:
        ValueError: a strength is not positive, a feature is not finite, or a draw lacks a class.
        NotConverged: a problem was not solved to the tolerance.
    """
    if counted is None:
        counted = torch.ones_like(labels, dtype=torch.bool)
    _check(features, labels, counted, class_count, l2_values)
    features = features.double()
    one_hot = torch.nn.functional.one_hot(labels, class_count).double() * counted[..., None]
    by_class = one_hot if class_weight == "none" else one_hot / one_hot.sum(1, keepdim=True)
    shares = by_class.sum(2) / by_class.sum((1, 2))[:, None]
    mean = (shares[:, None, :] @ features)[:, 0]
    components, axes, spread = principal_components(features - mean[:, None, :], shares)
    problem = _Problem(
        design=torch.cat([components, torch.ones_like(components[..., :1])], 2),
        spread=torch.cat([spread, torch.ones_like(spread[:, :1])], 1)[:, None, None, :],
        one_hot=one_hot.mT[:, None],
        shares=shares[:, None, :],
        penalty=_penalty(l2_values, spread),
        offsets=None if offsets is None else offsets.double().mT,
    )
    parameters, objective = _minimise(problem, tolerance)
    weights = parameters[..., :-1] @ axes.mT[:, None]
    bias = parameters[..., -1] - (weights @ mean[:, None, :, None])[..., 0]
    return LogisticBatch(weights, bias, objective)


def solve_binary_batch(
    features: Float[Tensor, "image dim"],
    positive: Bool[Tensor, "question image"],
    known: Bool[Tensor, "question image"],
    l2_values: Sequence[float],
    *,
    tolerance: float = 1e-6,
) -> LogisticBatch:
    """Minimise f for many yes/no questions about the same images, both answers weighing the same.

    The images are one matrix for all questions; an image whose answer is not known weighs nothing.
    Class 1 is "yes", and w_0 = -w_1. The result's "draw" is the question.

    Args:
        features: used as given.
        positive: where the answer is yes; ignored where it is not known.
        known: where there is an answer.
        l2_values: positive, in any order.
        tolerance: the largest relative excess of the objective over its minimum.

    Raises:
        ValueError: a strength is not positive, a feature is not finite, or a question lacks a yes
            or a no.
        NotConverged: a problem was not solved to the tolerance.
    """
    answers = torch.stack([known & ~positive, known & positive], 1).double()
    counts = answers.sum(2, keepdim=True)
    lacking = (counts == 0).any(1).flatten().nonzero().flatten().tolist()
    if lacking:
        raise ValueError(
            f"questions {lacking} have no yes or no no among their images, so there is nothing to "
            "learn; usually the concept is too rare. Leave those concepts out."
        )
    _check_values(features, l2_values)
    features = features.double()
    shares = (answers / counts).sum(1) / 2
    mean = features.mean(0)
    even = features.new_full((1, len(features)), 1 / len(features))
    components, axes, spread = principal_components((features - mean)[None], even)
    repeats = len(l2_values)
    problem = _Problem(
        design=torch.cat([components, torch.ones_like(components[..., :1])], 2),
        spread=torch.cat([spread, torch.ones_like(spread[:, :1])], 1)[:, None, None, :],
        one_hot=answers.repeat_interleave(repeats, 0)[None],
        shares=shares.repeat_interleave(repeats, 0)[None],
        penalty=_penalty(tuple(l2_values) * len(positive), spread),
        offsets=None,
    )
    parameters, objective = _minimise(problem, tolerance)
    weights = parameters[0, ..., :-1] @ axes[0].T
    bias = parameters[0, ..., -1] - weights @ mean
    shape = (len(positive), repeats)
    return LogisticBatch(
        weights.reshape(*shape, 2, -1), bias.reshape(*shape, 2), objective.reshape(shape)
    )


def _check(
    features: Float[Tensor, "draw image dim"],
    labels: Int[Tensor, "draw image"],
    counted: Bool[Tensor, "draw image"],
    class_count: int,
    l2_values: Sequence[float],
) -> None:
    _check_values(features, l2_values)
    if class_count < 2 or bool(((labels < 0) | (labels >= class_count)).any()):
        raise ValueError(
            f"labels must lie in 0 .. {class_count - 1} and there must be at least 2 classes; "
            "usually the class list is that of another dataset. Take both from the same one."
        )
    present = (torch.nn.functional.one_hot(labels, class_count) * counted[..., None]).any(1)
    if not present.all():
        draw, label = (~present).nonzero()[0].tolist()
        raise ValueError(
            f"draw {draw} has no image of class {label}, so that its bias has no optimum; usually "
            "the images were drawn without regard to their class. Draw so many of each class."
        )


def _check_values(features: Float[Tensor, "*draw image dim"], l2_values: Sequence[float]) -> None:
    if not l2_values or not all(0 < l2 < float("inf") for l2 in l2_values):
        raise ValueError(
            f"regularisation strengths must be positive numbers, got {list(l2_values)}; without "
            "regularisation separable classes have no optimum. Use a small value such as 1e-6."
        )
    if not features.isfinite().all():
        raise ValueError(
            "a feature is not finite; usually half precision overflowed. Embed at float32."
        )


def _penalty(
    l2_values: Sequence[float], spread: Float64[Tensor, "draw component"]
) -> Float64[Tensor, "value 1 axis"]:
    """Return l2 for each axis but the bias."""
    values = torch.tensor(l2_values, dtype=torch.float64, device=spread.device)
    penalty = values[:, None, None].repeat(1, 1, spread.shape[1] + 1)
    penalty[..., -1] = 0
    return penalty


def principal_components(
    centred: Float64[Tensor, "draw image dim"], shares: Float64[Tensor, "draw image"]
) -> tuple[
    Float64[Tensor, "draw image component"],
    Float64[Tensor, "draw dim component"],
    Float64[Tensor, "draw component"],
]:
    """Return images in their principal axes, those axes, and the mean square on each.

    There are min(image, dim) of them; the ones on which nothing spreads are all zero.
    """
    scaled = centred * shares.sqrt()[..., None]
    if centred.shape[1] < centred.shape[2]:
        spread, images = torch.linalg.eigh(scaled @ scaled.mT)
        inverse, spread = _inverse_root(spread)
        axes = scaled.mT @ (images * inverse[:, None, :])
    else:
        spread, axes = torch.linalg.eigh(scaled.mT @ scaled)
        inverse, spread = _inverse_root(spread)
        axes = axes * (inverse > 0)[:, None, :]
    return centred @ axes, axes, spread


def _inverse_root(
    spread: Float64[Tensor, "draw component"],
) -> tuple[Float64[Tensor, "draw component"], Float64[Tensor, "draw component"]]:
    """Return spread^(-1/2) and the spread, both zero where only rounding spreads."""
    noise = spread.shape[1] * torch.finfo(spread.dtype).eps * spread[:, -1:]
    kept = spread > noise.clamp(min=torch.finfo(spread.dtype).tiny)
    return spread.rsqrt().where(kept, 0.0), spread.where(kept, 0.0)


@dataclass(frozen=True)
class _Problem:
    """All problems in their principal axes; the last axis is the bias."""

    design: Float64[Tensor, "draw image axis"]
    spread: Float64[Tensor, "draw 1 1 axis"]
    one_hot: Float64[Tensor, "draw #value class image"]
    shares: Float64[Tensor, "draw #value image"]  # 0 for an image that does not count
    penalty: Float64[Tensor, "value 1 axis"]
    offsets: Float64[Tensor, "draw value class image"] | None

    def start(self) -> _Parameters:
        """Return the optimum at infinite strength without offsets: log frequencies as bias."""
        draws, _, classes, _ = self.one_hot.shape
        start = self.design.new_zeros(draws, len(self.penalty), classes, self.design.shape[2])
        start[..., -1] = (self.one_hot * self.shares[:, :, None]).sum(3).log()
        return start

    def forward(self, parameters: _Parameters) -> _Logits:
        """Return what the parameters add to the logits."""
        draws, values, classes, axes = parameters.shape
        flat = parameters.reshape(draws, values * classes, axes) @ self.design.mT
        return flat.reshape(draws, values, classes, -1)

    def backward(self, residual: _Logits) -> _Parameters:
        """Return the adjoint of `forward`."""
        draws, values, classes, images = residual.shape
        flat = residual.reshape(draws, values * classes, images) @ self.design
        return flat.reshape(draws, values, classes, -1)

    def objective(self, parameters: _Parameters, logits: _Logits) -> _PerProblem:
        """Return f; the logits are those of the parameters, offsets included."""
        loss = logits.logsumexp(2) - (self.one_hot * logits).sum(2)
        return (self.shares * loss).sum(2) + (self.penalty * parameters.square()).sum((2, 3)) / 2


def _minimise(problem: _Problem, tolerance: float) -> tuple[_Parameters, _PerProblem]:
    """Take Newton steps until every problem is solved; solved ones stand still."""
    parameters = problem.start()
    logits = problem.forward(parameters)
    if problem.offsets is not None:
        logits = logits + problem.offsets
    value = problem.objective(parameters, logits)
    for _ in range(_MOST_STEPS):
        probabilities = logits.softmax(2)
        residual = (probabilities - problem.one_hot) * problem.shares[:, :, None]
        gradient = problem.backward(residual) + problem.penalty * parameters
        curvature, rotation = _class_curvature(probabilities, problem.shares)
        of_bias = (rotation.mT @ gradient[..., -1:])[..., 0].square() / curvature
        of_weights = gradient[..., :-1].square() / problem.penalty[..., :-1]
        open_ = (of_weights.sum((2, 3)) + of_bias.sum(2)) / 2 > tolerance * value + _NOISE
        if not open_.any():
            return parameters, value
        inverse = 1 / (curvature[..., None] * problem.spread + problem.penalty)
        direction = _newton_direction(problem, probabilities, gradient, rotation, inverse, open_)
        stride = _stride(problem, parameters, logits, value, gradient, direction, open_)
        if not (stride > 0).any():
            break
        parameters = parameters + stride[..., None, None] * direction
        logits = logits + stride[..., None, None] * problem.forward(direction)
        value = problem.objective(parameters, logits)
    raise NotConverged(
        f"{int(open_.sum())} of {open_.numel()} problems have no optimum within {tolerance:g} of "
        "the objective; usually the features are on a wild scale or l2 is too small for them. "
        "Standardise the features, or leave the weakest strengths out."
    )


def _class_curvature(
    probabilities: _Logits, shares: Float64[Tensor, "draw #value image"]
) -> tuple[Float64[Tensor, "draw value class"], Float64[Tensor, "draw value class class"]]:
    """Return eigenvalues and eigenvectors of sum_i s_i (diag p_i - p_i p_i^T) + 11^T / K."""
    weighted = probabilities * shares[:, :, None]
    curvature = torch.diag_embed(weighted.sum(3)) - weighted @ probabilities.mT
    values, rotation = torch.linalg.eigh(curvature + 1 / probabilities.shape[2])
    return values.clamp(min=torch.finfo(values.dtype).eps), rotation


def _newton_direction(
    problem: _Problem,
    probabilities: _Logits,
    gradient: _Parameters,
    rotation: Float64[Tensor, "draw value class class"],
    inverse: _Parameters,
    open_: Bool[Tensor, "draw value"],
) -> _Parameters:
    """Solve H x = -gradient for the open problems by preconditioned conjugate gradients."""
    weighted = probabilities * problem.shares[:, :, None]

    def hessian(vector: _Parameters) -> _Parameters:
        change = problem.forward(vector)
        change = weighted * (change - (probabilities * change).sum(2, keepdim=True))
        return problem.backward(change) + problem.penalty * vector

    def precondition(vector: _Parameters) -> _Parameters:
        return rotation @ (inverse * (rotation.mT @ vector))

    solution, residual = torch.zeros_like(gradient), -gradient
    preconditioned = precondition(residual)
    direction, size = preconditioned, (residual * preconditioned).sum((2, 3))
    enough = _FORCING**2 * size
    working = open_
    for _ in range(_MOST_PRODUCTS):
        image = hessian(direction)
        bend = (direction * image).sum((2, 3))
        working = working & (bend > 0)  # only rounding bends a convex function down
        step = (size / bend).where(working, 0.0)[..., None, None]
        solution = solution + step * direction
        residual = residual - step * image
        preconditioned = precondition(residual)
        before, size = size, (residual * preconditioned).sum((2, 3))
        working = working & (size > enough)
        if not working.any():
            break
        ratio = (size / before).where(working, 0.0)[..., None, None]
        direction = preconditioned + ratio * direction
    return solution


def _stride(
    problem: _Problem,
    parameters: _Parameters,
    logits: _Logits,
    value: _PerProblem,
    gradient: _Parameters,
    direction: _Parameters,
    open_: Bool[Tensor, "draw value"],
) -> _PerProblem:
    """Return for each open problem the first of 1, 1/2, 1/4, ... that falls enough (Armijo).

    It is 0 where none does, and for problems that are solved. Where offsets have driven a class's
    probability to 0 or 1 everywhere, next to nothing bends its bias and the direction is longer
    than any number of halvings that one would fix. The loss is self-concordant as Bach has it
    (Electronic Journal of Statistics 2010, section 2), so that it falls for certain where logits
    change by little, however short that makes the stride: what is smallest is their change.
    """
    slope = (gradient * direction).sum((2, 3))
    logit_direction = problem.forward(direction)
    longest = logit_direction.abs().amax((2, 3))
    stride = torch.ones_like(value).where(open_, 0.0)
    while True:
        scaled = stride[..., None, None]
        reached = problem.objective(
            parameters + scaled * direction, logits + scaled * logit_direction
        )
        short = reached > value + 1e-4 * stride * slope
        if not short.any():
            return stride
        stride = torch.where(short, stride / 2, stride)
        stride = stride.where(stride * longest > _SMALLEST_CHANGE, 0.0)
