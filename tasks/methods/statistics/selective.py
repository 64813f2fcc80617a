"""Selective prediction: what a head is worth if it may leave its least confident images to people.

Images are answered from the most confident down. At coverage c the risk is the share of wrong
answers among the c W most confident images, W being the total weight. Where equal confidences leave
the order open, the risk is its expectation over all orders; the copies of an image that a resample
repeats are such a tie. The confidence is the probability of the predicted class.

Sources: Geifman and El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017
(risk and coverage); Geifman, Uziel and El-Yaniv, Bias-reduced uncertainty estimation for deep
neural classifiers, ICLR 2019 (AURC and E-AURC).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.sparse import csr_array

from curette.tasks.methods.statistics.cumulative import sums_from_0
from curette.tasks.methods.statistics.metrics import check_predictions

_Labels = Int[np.ndarray, " image"]
_Probabilities = Float64[np.ndarray, "image class"]
_Weights = Float64[np.ndarray, "resample image"]


def area_under_risk_coverage_of(
    labels: _Labels, probabilities: _Probabilities
) -> Callable[[_Weights], Float64[np.ndarray, "resample 2"]]:
    """Return what computes AURC and excess AURC for any weighting; both are better when lower.

    AURC is the mean of the risk over coverages 1/W, 2/W .. 1. A wrong answer at place k counts at
    every coverage from k/W on, so with H the harmonic numbers and ties at places a + 1 .. b of
    which e are wrong, each place with chance e / (b - a),

        W AURC = E H(W) - sum_ties e / (b - a) (G(b) - G(a)),  G(n) = sum_{k<n} H(k) = n H(n) - n

    where E is the sum of all e. Excess AURC subtracts
    what an order of all right answers before all wrong ones would reach,

        W best = E - (W - E) (H(W) - H(W - E))

    Raises (the function):
        ValueError: a weight is no whole number, so there is no count of images.
    """
    check_predictions(labels, probabilities)
    return area_by_order_of(probabilities.max(1), probabilities.argmax(1) != labels)


def area_by_order_of(
    confidence: Float64[np.ndarray, " image"], is_wrong: Bool[np.ndarray, " image"]
) -> Callable[[_Weights], Float64[np.ndarray, "resample 2"]]:
    """Return the same where images are answered in another order: from the highest value down."""
    runs = _runs(confidence, is_wrong)

    def measure(weights: _Weights) -> Float64[np.ndarray, "resample 2"]:
        columns = np.ascontiguousarray(weights.T)
        reached = sums_from_0(runs.all @ columns)
        if (reached != np.rint(reached)).any():
            raise ValueError(
                "the area under the risk-coverage curve counts images, so weights must be whole "
                "numbers; usually they were normalised. Pass how often each image was drawn."
            )
        lost = runs.wrong @ columns
        total, wrong = reached[-1], lost.sum(0)
        count = np.arange(total.max(initial=0) + 1)
        harmonic = np.concatenate([[0.0], np.cumsum(1 / count[1:])])
        before = (count * harmonic - count)[reached.astype(np.int64)]
        passed = before[runs.hit + 1] - before[runs.hit]
        tie = runs.hit[runs.mixed]
        passed[runs.mixed] *= _shares(lost[runs.mixed], reached[tie + 1] - reached[tie])
        at_end = harmonic[total.astype(np.int64)]
        area = wrong * at_end - passed.sum(0)
        right = total - wrong
        best = wrong - right * (at_end - harmonic[right.astype(np.int64)])
        with np.errstate(invalid="ignore"):
            return np.stack([area, area - best], axis=1) / total[:, None]

    return measure


@dataclass(frozen=True)
class _Runs:
    """Answers from the most confident down, in runs of right ones, of wrong ones, and mixed ties.

    Within a run of wrong answers the sum over its ties telescopes, so few places are visited.
    """

    all: csr_array
    """Run x image: 1 where the image is in the run."""
    wrong: csr_array
    """The same for wrong answers, in the runs `hit` alone."""
    hit: Int[np.ndarray, " hit"]
    """Runs with a wrong answer."""
    mixed: Int[np.ndarray, " mixed"]
    """Which of `hit` are ties of right and wrong answers."""


def _runs(confidence: Float64[np.ndarray, " image"], is_wrong: Bool[np.ndarray, " image"]) -> _Runs:
    order = np.argsort(-confidence, kind="stable")
    tie = np.cumsum(np.diff(confidence[order], prepend=np.inf) != 0) - 1
    share = np.bincount(tie, is_wrong[order]) / np.bincount(tie)
    mixed = (share > 0) & (share < 1)
    new = np.ones(len(share), dtype=bool)
    new[1:] = (share[1:] != share[:-1]) | mixed[1:]
    run = (np.cumsum(new) - 1)[tie]
    first = np.flatnonzero(np.diff(run, prepend=-1))
    of_run = share[tie[first]]
    hit = np.flatnonzero(of_run > 0)
    shape = len(first), len(order)
    everyone = csr_array((np.ones(len(order)), (run, order)), shape=shape)
    wrong = csr_array((is_wrong[order].astype(np.float64), (run, order)), shape=shape)
    return _Runs(everyone, wrong[hit], hit, np.flatnonzero(of_run[hit] < 1))


def _shares(
    some: Float64[np.ndarray, "tie resample"], of: Float64[np.ndarray, "tie resample"]
) -> Float64[np.ndarray, "tie resample"]:
    """Return the ratio, 0 where there is nothing to share."""
    return np.divide(some, of, out=np.zeros_like(some), where=of > 0)


@dataclass(frozen=True)
class RiskCoverage:
    """One point for each confidence that occurs, the highest first."""

    threshold: Float64[np.ndarray, " point"]
    coverage: Float64[np.ndarray, " point"]
    risk: Float64[np.ndarray, " point"]


def risk_coverage_curve(labels: _Labels, probabilities: _Probabilities) -> RiskCoverage:
    """Return risk and coverage if images below a threshold of confidence are left to people."""
    once = np.ones((1, len(labels)))
    reached, lost = map(sums_from_0, _by_confidence(labels, probabilities, once))
    return RiskCoverage(
        threshold=np.unique(probabilities.max(1))[::-1],
        coverage=reached[1:, 0] / len(labels),
        risk=lost[1:, 0] / reached[1:, 0],
    )


def _by_confidence(
    labels: _Labels, probabilities: _Probabilities, weights: _Weights
) -> tuple[Float64[np.ndarray, "tie resample"], Float64[np.ndarray, "tie resample"]]:
    """Return the weight of all and of wrong answers at each confidence, the highest first."""
    check_predictions(labels, probabilities)
    confidence = probabilities.max(1)
    order = np.argsort(-confidence, kind="stable")
    wrong = (probabilities.argmax(1) != labels)[order]
    first_of_tie = np.flatnonzero(np.diff(confidence[order], prepend=np.inf))
    images = np.ascontiguousarray(weights.T)[order]  # so that an image's weights lie together
    losses = images * wrong[:, None]
    if len(first_of_tie) == len(order):
        return images, losses
    return np.add.reduceat(images, first_of_tie), np.add.reduceat(losses, first_of_tie)
