"""L2-regularised multinomial logistic regression, exact, for a whole path of strengths.

With images x_i of class y_i, shares s_i that sum to 1, and p_i = softmax(W x_i + b),

    f(W, b) = -sum_i s_i log p_i[y_i]  +  (l2 / 2) ||W||^2        (the bias b is not penalised)

s_i = 1/n for class weight "none" and 1/(K n_k) for "balanced", n_k being the images of class k.
scikit-learn's `LogisticRegression` minimises the same f at C = 1 / (n l2). With K = 2 it fits the
one difference w_1 - w_0 instead; its optimum is then the same at C = 2 / (n l2).

The solver is Newton's method whose steps come from conjugate gradients (Nocedal and Wright,
Numerical Optimization, 2006, section 7.1), made fast by four things:

- it works in the principal axes of the centred features, found once for the whole path;
- there the Hessian sum_i s_i (diag p_i - p_i p_i^T) (x) x_i x_i^T, with (x) the Kronecker product,
  is near the product of its two mean factors (as in Martens and Grosse, 2015), whose inverse is
  diagonal but for a K x K rotation; it preconditions the conjugate gradients. Böhning's bound
  (I - 11^T/K) / 2 on the first factor (1992) needed half as many products again, since confident
  predictions curve far less than their bound;
- products with the Hessian are float32. They only choose the direction: objective, gradient and
  stopping rule are float64, so the answer is as exact as without;
- each strength starts from the two before it, extrapolated in log l2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

ClassWeight = Literal["none", "balanced"]

_Parameters = Float64[Tensor, "class axis"]

_FORCING = 0.1  # a Newton step is solved until its residual has shrunk by this factor
_MOST_PRODUCTS = 500  # Hessian products of one Newton step
_MOST_STEPS = 100  # Newton steps of one strength; a handful is usual
_SMALLEST_STRIDE = 1e-10  # of a line search; below it rounding decides
_NOISE = 1e-12  # relative spread, or difference of scores, that is only rounding


class NotConverged(RuntimeError):
    """The stated tolerance was not reached, so there is no answer."""


@dataclass(frozen=True)
class LinearHead:
    """`logits = features @ weights.T + bias`."""

    weights: Float[Tensor, "class dim"]
    bias: Float[Tensor, " class"]

    def logits(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image class"]:
        """Return one logit an image and class."""
        return features @ self.weights.T + self.bias


@dataclass(frozen=True)
class Standardisation:
    """x -> (x - mean) / scale, fitted on training images."""

    mean: Float64[Tensor, " dim"]
    scale: Float64[Tensor, " dim"]

    def apply(self, features: Float[Tensor, "image dim"]) -> Float64[Tensor, "image dim"]:
        """Standardise features."""
        return (features.double() - self.mean) / self.scale

    def fold(self, head: LinearHead) -> LinearHead:
        """Return the head whose logits on raw features are those of `head` on standardised ones."""
        weights = head.weights.double() / self.scale
        return LinearHead(weights, head.bias.double() - weights @ self.mean)


def global_standardisation(features: Float[Tensor, "image dim"]) -> Standardisation:
    """Centre all columns and divide them by one number, which keeps an embedding's geometry.

    The number makes the mean variance of a column 1, so that an l2 means the same for every
    encoder and for `column_standardisation`.

    Raises:
        ValueError: all images have the same features.
    """
    mean, deviation, noise = _moments(features)
    scale = deviation.square().mean().sqrt()
    if scale <= noise.max():
        raise ValueError(
            f"all {len(features)} images have the same features; usually the encoder was given "
            "blank or unreadable images. Look at the images, then embed them again."
        )
    return Standardisation(mean, scale.repeat(len(mean)))


def column_standardisation(features: Float[Tensor, "image dim"]) -> Standardisation:
    """Centre every column and divide it by its standard deviation, for concept scores.

    A constant column is centred only; being 0 then, it is given no weight.
    """
    mean, deviation, noise = _moments(features)
    return Standardisation(mean, deviation.where(deviation > noise, 1.0))


def _moments(
    features: Float[Tensor, "image dim"],
) -> tuple[Float64[Tensor, " dim"], Float64[Tensor, " dim"], Float64[Tensor, " dim"]]:
    """Return mean, standard deviation and the deviation that rounding alone may cause."""
    features = features.double()
    return features.mean(0), features.std(0, correction=0), _NOISE * features.abs().amax(0)


@dataclass(frozen=True)
class RegularisationPath:
    """The optimum at every strength, strongest first."""

    l2_values: tuple[float, ...]
    class_weight: ClassWeight
    weights: Float64[Tensor, "value class dim"]
    bias: Float64[Tensor, "value class"]
    objective: tuple[float, ...]  # f at the optimum
    train_loss: tuple[float, ...]  # its first term
    newton_steps: tuple[int, ...]
    hessian_products: tuple[int, ...]

    def head(self, index: int) -> LinearHead:
        """Return the head at one strength."""
        return LinearHead(self.weights[index], self.bias[index])


def regularisation_path(
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    class_count: int,
    l2_values: Sequence[float],
    *,
    class_weight: ClassWeight = "none",
    tolerance: float = 1e-6,
) -> RegularisationPath:
    """Minimise f at every strength, from strong to weak.

    A strength is solved once g_W^T g_W / (2 l2) + g_b^T H_b^-1 g_b / 2 <= tolerance * f, with g the
    gradient and H_b the exact Hessian of the bias. f is l2-strongly convex in W, so the first term
    bounds what the weights can still gain; the second is what a Newton step of the bias would gain.

    Args:
        features: used as given; see `global_standardisation` and `column_standardisation`.
        labels: in `0 .. class_count - 1`; every class occurs.
        class_count: K, at least 2.
        l2_values: positive and falling.
        class_weight: "balanced" lets every class count the same, whatever its size.
        tolerance: the largest relative excess of the objective over its minimum.

    Raises:
        ValueError: a strength is not positive or the strengths do not fall, a feature is not
            finite, or a class has no image (its bias would have no optimum).
        NotConverged: `_MOST_STEPS` Newton steps were not enough.
    """
    _check_strengths(l2_values)
    _check_images(features, labels, class_count)
    features = features.double()
    shares = image_shares(labels, class_count, class_weight)
    mean = shares @ features
    axes, spread = _principal_axes(features - mean, shares)
    problem = _Problem.of((features - mean) @ axes, spread, labels, class_count, shares)

    solutions: list[_Solution] = []
    for l2 in l2_values:
        start = _extrapolate(solutions, l2) if solutions else problem.class_frequencies()
        solutions.append(_minimise(problem, l2, start, tolerance))

    parameters = torch.stack([solution.parameters for solution in solutions])
    weights = parameters[..., :-1] @ axes.T
    return RegularisationPath(
        l2_values=tuple(l2_values),
        class_weight=class_weight,
        weights=weights,
        bias=parameters[..., -1] - weights @ mean,
        objective=tuple(s.objective for s in solutions),
        train_loss=tuple(s.loss for s in solutions),
        newton_steps=tuple(s.newton_steps for s in solutions),
        hessian_products=tuple(s.hessian_products for s in solutions),
    )


def _check_strengths(l2_values: Sequence[float]) -> None:
    if not l2_values or not all(0 < l2 < float("inf") for l2 in l2_values):
        raise ValueError(
            f"regularisation strengths must be positive numbers, got {list(l2_values)}; without "
            "regularisation separable classes have no optimum. Use a small value such as 1e-6."
        )
    if any(weaker >= stronger for stronger, weaker in pairwise(l2_values)):
        raise ValueError(
            f"regularisation strengths must fall, got {list(l2_values)}; each solution starts the "
            "next. Pass sorted(set(l2_values), reverse=True)."
        )


def _check_images(
    features: Float[Tensor, "image dim"], labels: Int[Tensor, " image"], class_count: int
) -> None:
    broken = (~features.isfinite()).any(1).nonzero()
    if len(broken):
        raise ValueError(
            f"features of {len(broken)} of {len(features)} images are not finite, first of row "
            f"{int(broken[0])}; usually half precision overflowed. Embed at float32."
        )
    if class_count < 2 or bool(((labels < 0) | (labels >= class_count)).any()):
        raise ValueError(
            f"labels must lie in 0 .. {class_count - 1} and there must be at least 2 classes; "
            "usually the class list is that of another dataset. Take both from the same one."
        )
    absent = (torch.bincount(labels, minlength=class_count) == 0).nonzero().flatten().tolist()
    if absent:
        raise ValueError(
            f"classes {absent} have no training image, so their bias has no optimum; usually a "
            "split lost a rare class. Split by class, or leave those classes out."
        )


def image_shares(
    labels: Int[Tensor, " image"], class_count: int, class_weight: ClassWeight
) -> Float64[Tensor, " image"]:
    """Return s, which sums to 1; an absent class is left out of a balanced mean."""
    if class_weight == "none":
        weights = torch.ones_like(labels, dtype=torch.float64)
    else:
        weights = torch.bincount(labels, minlength=class_count).double().reciprocal()[labels]
    return weights / weights.sum()


def _principal_axes(
    centred: Float64[Tensor, "image dim"], shares: Float64[Tensor, " image"]
) -> tuple[Float64[Tensor, "dim component"], Float64[Tensor, " component"]]:
    """Return orthonormal axes and the mean square on each, without those that nothing spreads on.

    The optimum has no weight on the axes left out: they cost and bring nothing.
    """
    spread, axes = torch.linalg.eigh((centred * shares[:, None]).T @ centred)
    kept = spread > len(spread) * torch.finfo(spread.dtype).eps * spread[-1]
    return axes[:, kept], spread[kept]


@dataclass(frozen=True)
class _Problem:
    """f in principal axes; the last axis is the bias, on which every image is at 1."""

    design: Float64[Tensor, "image axis"]
    spread: Float64[Tensor, " axis"]  # mean square on the axis
    one_hot: Float64[Tensor, "class image"]
    shares: Float64[Tensor, " image"]
    rough_design: Float[Tensor, "image axis"]  # float32, for Hessian products

    @classmethod
    def of(
        cls,
        components: Float64[Tensor, "image component"],
        spread: Float64[Tensor, " component"],
        labels: Int[Tensor, " image"],
        class_count: int,
        shares: Float64[Tensor, " image"],
    ) -> "_Problem":
        one = torch.ones_like(components[:, :1])
        design = torch.cat([components, one], 1)
        classes = torch.arange(class_count, device=labels.device)
        return cls(
            design=design,
            spread=torch.cat([spread, one[0]]),
            one_hot=(classes[:, None] == labels).double(),
            shares=shares,
            rough_design=design.float(),
        )

    def class_frequencies(self) -> _Parameters:
        """Return the optimum at infinite strength: no weights, log frequencies as bias."""
        frequencies = self.one_hot @ self.shares
        start = frequencies.new_zeros(len(frequencies), len(self.spread))
        start[:, -1] = frequencies.log()
        return start

    def penalty(self, l2: float) -> Float64[Tensor, " axis"]:
        """Return l2 for each axis but the bias."""
        penalty = torch.full_like(self.spread, l2)
        penalty[-1] = 0
        return penalty

    def loss(self, logits: Float64[Tensor, "class image"]) -> Float64[Tensor, ""]:
        """Return the first term of f."""
        return self.shares @ (logits.logsumexp(0) - (self.one_hot * logits).sum(0))

    def objective(
        self,
        parameters: _Parameters,
        logits: Float64[Tensor, "class image"],
        penalty: Float64[Tensor, " axis"],
    ) -> float:
        """Return f; the logits are those of the parameters."""
        return float(self.loss(logits) + (penalty * parameters.square()).sum() / 2)


@dataclass(frozen=True)
class _Solution:
    l2: float
    parameters: _Parameters
    objective: float
    loss: float
    newton_steps: int
    hessian_products: int


@dataclass(frozen=True)
class _ClassCurvature:
    """Eigenvalues and eigenvectors of sum_i s_i (diag p_i - p_i p_i^T) + 11^T / K.

    That is the Hessian of the bias. The last term makes it invertible and changes nothing: it acts
    along 1 alone, and no gradient has a part there, softmax being blind to a common shift.
    """

    values: Float64[Tensor, " class"]
    rotation: Float64[Tensor, "class class"]

    @classmethod
    def of(
        cls,
        probabilities: Float64[Tensor, "class image"],
        shares: Float64[Tensor, " image"],
    ) -> "_ClassCurvature":
        weighted = probabilities * shares
        mean = weighted.sum(1).diag() - weighted @ probabilities.T + 1 / len(probabilities)
        values, rotation = torch.linalg.eigh(mean)
        return cls(values.clamp(min=_NOISE), rotation)


def _extrapolate(solutions: list[_Solution], l2: float) -> _Parameters:
    """Follow the last two solutions in log l2, at most as far again as they lie apart."""
    last = solutions[-1]
    if len(solutions) == 1:
        return last.parameters
    before = solutions[-2]
    stride = min(1.0, log(last.l2 / l2) / log(before.l2 / last.l2))
    return last.parameters + stride * (last.parameters - before.parameters)


def _minimise(problem: _Problem, l2: float, start: _Parameters, tolerance: float) -> _Solution:
    """Take Newton steps until the stopping rule of `regularisation_path` holds."""
    penalty = problem.penalty(l2)
    parameters, logits, products = start, start @ problem.design.T, 0
    value = problem.objective(parameters, logits, penalty)
    for step in range(_MOST_STEPS):
        probabilities = logits.softmax(0)
        curvature = _ClassCurvature.of(probabilities, problem.shares)
        residual = (probabilities - problem.one_hot) * problem.shares
        gradient = residual @ problem.design + penalty * parameters
        if _remaining(gradient, curvature, l2) <= tolerance * value:
            loss = float(problem.loss(logits))
            return _Solution(l2, parameters, value, loss, step, products)

        direction, used = _conjugate_gradients(
            _hessian(problem, probabilities, penalty),
            _preconditioner(curvature, problem.spread, penalty),
            -gradient,
        )
        products += used
        logit_direction = direction @ problem.design.T
        slope, stride = float((gradient * direction).sum()), 1.0
        while stride > _SMALLEST_STRIDE:
            reached = parameters + stride * direction
            reached_logits = logits + stride * logit_direction
            reached_value = problem.objective(reached, reached_logits, penalty)
            if reached_value <= value + 1e-4 * stride * slope:  # Armijo's rule
                break
            stride /= 2
        else:
            break
        parameters, logits, value = reached, reached_logits, reached_value
    raise NotConverged(
        f"no optimum at l2 = {l2:g} within {tolerance:g} of the objective; usually the features "
        "are on a wild scale or l2 is too small for them. Standardise the features, or leave the "
        "weakest strengths out."
    )


def _remaining(gradient: _Parameters, curvature: _ClassCurvature, l2: float) -> float:
    """Return what the objective can still fall by: the left side of the stopping rule."""
    of_weights = gradient[:, :-1].square().sum() / l2
    of_bias = ((curvature.rotation.T @ gradient[:, -1]).square() / curvature.values).sum()
    return float(of_weights + of_bias) / 2


def _hessian(
    problem: _Problem,
    probabilities: Float64[Tensor, "class image"],
    penalty: Float64[Tensor, " axis"],
) -> Callable[[_Parameters], _Parameters]:
    """Return the product v -> H v, exact but for float32."""
    design = problem.rough_design
    rough = probabilities.to(design.dtype)
    weighted = (probabilities * problem.shares).to(design.dtype)

    def product(vector: _Parameters) -> _Parameters:
        logits = vector.to(design.dtype) @ design.T
        change = weighted * (logits - (rough * logits).sum(0))
        return (change @ design).double() + penalty * vector

    return product


def _preconditioner(
    curvature: _ClassCurvature,
    spread: Float64[Tensor, " axis"],
    penalty: Float64[Tensor, " axis"],
) -> Callable[[_Parameters], _Parameters]:
    """Return v -> (C (x) diag(spread) + diag(penalty))^-1 v, with C the class curvature."""
    rotation = curvature.rotation
    inverse = 1 / (curvature.values[:, None] * spread + penalty)
    return lambda vector: rotation @ (inverse * (rotation.T @ vector))


def _conjugate_gradients(
    hessian: Callable[[_Parameters], _Parameters],
    precondition: Callable[[_Parameters], _Parameters],
    target: _Parameters,
) -> tuple[_Parameters, int]:
    """Solve H x = target until the residual, as the preconditioner measures it, is small enough.

    Every iterate is a direction of descent, so stopping early costs steps, not correctness.
    """
    solution, residual = torch.zeros_like(target), target
    preconditioned = precondition(residual)
    direction, size = preconditioned, float((residual * preconditioned).sum())
    enough = _FORCING**2 * size
    for products in range(1, _MOST_PRODUCTS + 1):
        image = hessian(direction)
        bend = float((direction * image).sum())
        if bend <= 0:  # only rounding bends a convex function down
            return (solution if products > 1 else direction), products
        solution = solution + size / bend * direction
        residual = residual - size / bend * image
        preconditioned = precondition(residual)
        before, size = size, float((residual * preconditioned).sum())
        if size <= enough:
            break
        direction = preconditioned + size / before * direction
    return solution, products


def cross_entropy(
    logits: Float[Tensor, "image class"], labels: Int[Tensor, " image"], class_weight: ClassWeight
) -> Float[Tensor, ""]:
    """Return the mean negative log-probability of the true class.

    "none" takes the mean over images; "balanced" the mean over the classes that occur of their
    own means, so that every class counts the same. This is the first term of f.
    """
    shares = image_shares(labels, logits.shape[1], class_weight).to(logits.dtype)
    return shares @ (logits.logsumexp(1) - logits.gather(1, labels[:, None])[:, 0])


def balanced_accuracy(logits: Float[Tensor, "image class"], labels: Int[Tensor, " image"]) -> float:
    """Return the mean over the classes that occur of the share predicted right."""
    shares = image_shares(labels, logits.shape[1], "balanced")
    return float(shares @ (logits.argmax(1) == labels).double())


@dataclass(frozen=True)
class Choice:
    """The head that validation images chose, and what they said of the others."""

    index: int
    validation_loss: tuple[float, ...]
    validation_balanced_accuracy: tuple[float, ...]


def choose_by_validation(
    path: RegularisationPath,
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
) -> Choice:
    """Choose a strength by the log loss of images that the path was not trained on.

    Ties go to the strongest. The loss weighs classes as the path does: a head trained with balanced
    classes answers as if all were equally frequent, and is to be judged so. Classes without a
    validation image are left out of balanced means.

    Raises:
        ValueError: there is no validation image.
    """
    check_validation(labels)
    heads = [path.head(index) for index in range(len(path.l2_values))]
    logits = [head.logits(features.double()) for head in heads]
    losses = tuple(float(cross_entropy(each, labels, path.class_weight)) for each in logits)
    accuracies = tuple(balanced_accuracy(each, labels) for each in logits)
    index = next(i for i, loss in enumerate(losses) if loss <= min(losses) + _NOISE)
    return Choice(index, losses, accuracies)


def check_validation(labels: Int[Tensor, " image"]) -> None:
    """Raise ValueError when there is nothing to choose by."""
    if not len(labels):
        raise ValueError(
            "there is no validation image to choose by; usually the split has only train and "
            "test. Split off a validation part: the test images must not choose."
        )
