"""Predicting on which images a head errs, from signs of doubt beside its confidence.

After Lahlou et al., DEUP: Direct Epistemic Uncertainty Prediction, TMLR 2023: a second model learns
the first one's loss on images that the first did not learn from, from what may tell of it, such as
the density of the training images. The loss here is whether the decision is wrong, and the second
model a logistic regression on standardised signs. Its strength is the one with the least log loss
on folds of whole groups that it did not learn from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int
from scipy.special import expit, xlogy

from curette.tasks.methods.solvers.logistic_batch import solve_logistic_batch
from curette.tasks.methods.splits import deal_groups

SIGNS: Final = (
    "highest probability",
    "lead over the second class",
    "entropy",
    "likeness to training images",
    "share of other heads that decide otherwise",
    "distance from other heads' probabilities",
)
FOLDS: Final = 5
FEWEST: Final = 10
"""Groups with a wrong decision, and with a right one, to learn from."""
NEIGHBOURS: Final = 5
STRENGTHS: Final = (1e-3, 1e-2, 1e-1, 1.0, 10.0)

_Signs = Float64[np.ndarray, "image sign"]
_Probabilities = Float64[np.ndarray, "image class"]


def signs_of_doubt(
    probabilities: _Probabilities,
    others: Sequence[_Probabilities],
    vectors: Float32[np.ndarray, "image dim"],
    training: Float32[np.ndarray, "train dim"],
) -> _Signs:
    """Return what may tell that a head errs on an image, in the order of `SIGNS`.

    Likeness is the mean cosine with the `NEIGHBOURS` training images most alike; distance the mean
    total variation, half the sum of absolute differences. Both of other heads are 0 without any.

    Args:
        probabilities: of the head.
        others: of other heads, of the same images.
        vectors: unit vectors of the images.
        training: those of the images that the head learned from.
    """
    top = np.sort(probabilities, axis=1)
    decided = probabilities.argmax(1)
    alone = [np.zeros(len(probabilities))]
    return np.column_stack(
        [
            top[:, -1],
            top[:, -1] - top[:, -2],
            -xlogy(probabilities, probabilities).sum(1),
            _likeness(vectors, training),
            np.mean([o.argmax(1) != decided for o in others] or alone, axis=0),
            np.mean([np.abs(o - probabilities).sum(1) / 2 for o in others] or alone, axis=0),
        ]
    )


def _likeness(
    vectors: Float32[np.ndarray, "image dim"], training: Float32[np.ndarray, "train dim"]
) -> Float64[np.ndarray, " image"]:
    most = min(NEIGHBOURS, len(training))
    parts = np.array_split(vectors, max(1, len(vectors) * len(training) // 10_000_000))
    nearest = [np.partition(part @ training.T, -most, axis=1)[:, -most:] for part in parts]
    return np.concatenate(nearest).mean(1).astype(np.float64)


@dataclass(frozen=True)
class ErrorPredictor:
    """The probability that a decision is wrong is expit(weights (signs - mean) / scale + bias)."""

    mean: Float64[np.ndarray, " sign"]
    scale: Float64[np.ndarray, " sign"]
    weights: Float64[np.ndarray, " sign"]
    """Of standardised signs: above 0 where more of the sign goes with mistakes."""
    bias: float
    l2: float
    held_out: Float64[np.ndarray, " image"]
    """Of the images learned from: what was predicted of each without its fold."""

    def __call__(self, signs: _Signs) -> Float64[np.ndarray, " image"]:
        """Return the probability that each decision is wrong."""
        return np.asarray(expit((signs - self.mean) / self.scale @ self.weights + self.bias))


def why_unlearnable(wrong: Bool[np.ndarray, " image"], groups: np.ndarray) -> str:
    """Return why nothing can be learned of a head's mistakes; empty where it can."""
    mistaken, right = len(np.unique(groups[wrong])), len(np.unique(groups[~wrong]))
    if min(mistaken, right) >= FEWEST:
        return ""
    return (
        f"{mistaken} independent groups of validation images have a wrong decision and {right} a "
        f"right one; to learn from, {FEWEST} of each are needed"
    )


def learn_errors(
    signs: _Signs, wrong: Bool[np.ndarray, " image"], groups: Int[np.ndarray, " image"], seed: int
) -> ErrorPredictor:
    """Return what was learned of a head's mistakes on images that it did not learn from.

    Args:
        signs: of each image; see `signs_of_doubt`.
        wrong: whether the head's decision is.
        groups: images of one are never parted between folds.
        seed: of the folds.

    Raises:
        ValueError: too few decisions are wrong, or right.
    """
    if why := why_unlearnable(wrong, groups):
        raise ValueError(why)
    labels = wrong.astype(np.int64)
    fold = deal_groups(groups, labels, np.full(FOLDS, 1 / FOLDS), seed)
    mean, scale = signs.mean(0), signs.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = (signs - mean) / scale  # of no label, so that folds may share it
    held_out = np.empty((len(STRENGTHS), len(wrong)))
    for number in range(FOLDS):
        apart = fold == number
        weights, bias = _solve(standard[~apart], labels[~apart])
        held_out[:, apart] = expit(weights @ standard[apart].T + bias[:, None])
    likely = np.where(wrong, held_out, 1 - held_out)
    best = int(np.argmax(np.log(np.maximum(likely, 1e-12)).mean(1)))
    weights, bias = _solve(standard, labels)
    return ErrorPredictor(
        mean, scale, weights[best], float(bias[best]), STRENGTHS[best], held_out[best]
    )


def _solve(
    standard: _Signs, labels: Int[np.ndarray, " image"]
) -> tuple[Float64[np.ndarray, "strength sign"], Float64[np.ndarray, " strength"]]:
    solved = solve_logistic_batch(
        torch.from_numpy(standard)[None], torch.from_numpy(labels)[None], 2, STRENGTHS
    )
    weights, bias = solved.weights[0].numpy(), solved.bias[0].numpy()
    return weights[:, 1] - weights[:, 0], bias[:, 1] - bias[:, 0]
