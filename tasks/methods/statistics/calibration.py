"""How far stated confidence is from being right, without the bias of small samples.

The usual calibration error (`metrics.expected_calibration_error`) sums absolute gaps, which chance
alone makes positive: a perfectly calibrated head of 200 images reads about 0.05, and a resample,
which repeats images, reads more. The square of a gap, unlike its size, has an unbiased estimate:
multiply the gaps of *different* groups of images and leave out each group times itself (Kumar,
Liang and Ma, Verified Uncertainty Calibration, NeurIPS 2019, debiased estimator of the squared
error; Sun et al., A Confidence Interval for the Expected Calibration Error, 2024, use the same).
Written over pairs it stays unbiased within groups that resemble each other and within resamples,
which the sweep over bin counts (Roelofs et al., AISTATS 2022) does not claim.

The confidence is the probability of the predicted class, the most probable one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Shaped
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.special import softmax

from curette.tasks.methods.statistics.metrics import check_predictions

_COOLEST, _HOTTEST = 0.01, 100.0


def debiased_calibration_error_of(
    labels: Int[np.ndarray, " image"],
    probabilities: Float64[np.ndarray, "image class"],
    groups: Shaped[np.ndarray, " image"],
    bins: int = 15,
) -> Callable[[Float64[np.ndarray, "resample image"]], Float64[np.ndarray, " resample"]]:
    """Return what computes the debiased calibration error for any weighting.

    It is the root of the debiased mean squared calibration error, 0 where that is negative.

    With d_i = right_i - confidence_i, D_gb and N_gb the sum of d and the number of images of group
    g in bin b, w_g the group's weight, and all sums over groups,

        U_b = ((sum w_g D_gb)^2 - sum w_g^2 D_gb^2) / ((sum w_g N_gb)^2 - sum w_g^2 N_gb^2)
        error^2 = sum_b share_b U_b

    U_b is unbiased for the squared gap of the bin, and error, by Jensen's inequality, is at least
    the expected calibration error of the same bins. Bins are of equal mass in the whole sample,
    and equal confidences share one. A bin with images of fewer than two groups says nothing and is
    left out of the shares; NaN where that leaves none.

    Args:
        groups: weights must be equal within a group, as those of a cluster bootstrap are.
    """
    check_predictions(labels, probabilities)
    confidence = probabilities.max(1)
    gap = (probabilities.argmax(1) == labels) - confidence
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    # Bin x image: what a group has in a bin stands at its first image, which has its weight.
    at = _equal_mass_bins(confidence, bins), first[group_of]
    gaps = csr_array((gap, at), shape=(bins, len(labels)))
    images = csr_array((np.ones(len(labels)), at), shape=gaps.shape)
    squared_gaps, squared_images = gaps.power(2), images.power(2)

    def measure(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, " resample"]:
        columns = np.ascontiguousarray(weights.T)
        squared = columns**2
        mass = images @ columns
        pairs = mass**2 - squared_images @ squared
        product = (gaps @ columns) ** 2 - squared_gaps @ squared
        known = pairs > 1e-9 * mass**2  # beyond rounding
        share = np.where(known, mass, 0.0)
        with np.errstate(invalid="ignore"):
            mean_square = (share * product / np.where(known, pairs, 1)).sum(0) / share.sum(0)
        return np.sqrt(np.maximum(mean_square, 0))

    return measure


@dataclass(frozen=True)
class ReliabilityCurve:
    """One point for each bin; NaN where it has no image."""

    confidence: Float64[np.ndarray, " bin"]  # mean
    accuracy: Float64[np.ndarray, " bin"]
    images: Int[np.ndarray, " bin"]


def equal_mass_reliability(
    labels: Int[np.ndarray, " image"],
    probabilities: Float64[np.ndarray, "image class"],
    bins: int = 10,
) -> ReliabilityCurve:
    """Return how often each level of confidence is right, every bin having as many images.

    Equal confidences share a bin, so bins differ by ties; one that ties leave empty is NaN.
    """
    check_predictions(labels, probabilities)
    confidence = probabilities.max(1)
    bin_of = _equal_mass_bins(confidence, bins)
    images = np.bincount(bin_of, minlength=bins)
    right = (probabilities.argmax(1) == labels).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return ReliabilityCurve(
            confidence=np.bincount(bin_of, confidence, minlength=bins) / images,
            accuracy=np.bincount(bin_of, right, minlength=bins) / images,
            images=images.astype(np.int64),
        )


def _equal_mass_bins(
    confidence: Float64[np.ndarray, " image"], bins: int
) -> Int[np.ndarray, " image"]:
    """Return the bin of each image: its mean rank's place among equal parts of the ranks."""
    ordered = np.sort(confidence)
    below = np.searchsorted(ordered, confidence, side="left")
    not_above = np.searchsorted(ordered, confidence, side="right")
    return ((below + not_above) * bins / (2 * len(confidence))).astype(np.int64).clip(0, bins - 1)


@dataclass(frozen=True)
class Temperature:
    """The divisor of the logits that validation images prefer."""

    value: float

    @property
    def at_bound(self) -> bool:
        """Whether the fit ran away: validation is all right, or the logits say nothing."""
        return self.value in (_COOLEST, _HOTTEST)


def fit_temperature(
    labels: Int[np.ndarray, " image"], logits: Float64[np.ndarray, "image class"]
) -> Temperature:
    """Return the T in 0.01 .. 100 with the least mean log loss of softmax(logits / T).

    With b = 1/T the loss is convex, and its slope, the mean over images of E_p[z] - z_true where
    p = softmax(b z), only rises: its root is found by bisection (Guo et al., On Calibration of
    Modern Neural Networks, 2017, section 4.2, for temperature scaling). Log probabilities will do
    for logits. The predicted class never changes.
    """
    true = logits[np.arange(len(labels)), labels]

    def slope(log_inverse: float) -> float:
        probabilities = softmax(np.exp(log_inverse) * logits, axis=1)
        return float(((probabilities * logits).sum(1) - true).mean())

    low, high = -np.log(_HOTTEST), -np.log(_COOLEST)
    if slope(low) >= 0:
        return Temperature(_HOTTEST)
    if slope(high) <= 0:
        return Temperature(_COOLEST)
    return Temperature(float(np.exp(-brentq(slope, low, high, xtol=1e-10))))


def at_temperature(
    logits: Float64[np.ndarray, "image class"], temperature: float
) -> Float64[np.ndarray, "image class"]:
    """Return softmax(logits / temperature)."""
    return softmax(logits / temperature, axis=1)
