"""The AUROC's variance without resampling, and the paired test of two heads on the same images.

A positive image's placement is the share of negatives below it, a negative's the share of positives
above it; their means are the AUROC and their spread gives its variance (DeLong, DeLong and
Clarke-Pearson, Biometrics 1988). Placements come from ranks in O(n log n) (Sun and Xu, IEEE Signal
Processing Letters 2014). Images of one person are no independent evidence, so what each image
contributes is first summed over its group (Obuchowski, Biometrics 1997); where every image is its
own group this is DeLong's variance exactly. The macro average over classes is a sum of such
contributions, so its variance needs no further theory.
"""

from dataclasses import dataclass
from math import erfc
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped
from scipy.stats import rankdata

_NORMAL = NormalDist()


@dataclass(frozen=True)
class PairedTest:
    """A difference of two AUROCs with its two-sided p value; NaN where nothing varies."""

    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, eq=False)
class DeLong:
    """The AUROC of several heads on the same images, and the covariance of these estimates."""

    value: Float64[np.ndarray, " head"]
    covariance: Float64[np.ndarray, "head head"]

    def interval(self, head: int, confidence: float) -> tuple[float, float]:
        """Return bounds by the normal approximation of logit AUROC, which keeps them in 0 .. 1.

        NaN where no error was made (AUROC 0 or 1) or nothing varies: the method has no answer
        there. (Pepe, The statistical evaluation of medical tests, 2003, section 5.2.)
        """
        area, variance = float(self.value[head]), float(self.covariance[head, head])
        if not (0 < area < 1 and variance > 0):
            return float("nan"), float("nan")
        middle = np.log(area / (1 - area))
        reach = _NORMAL.inv_cdf((1 + confidence) / 2) * variance**0.5 / (area * (1 - area))
        low, high = (float(1 / (1 + np.exp(-(middle + sign * reach)))) for sign in (-1, 1))
        return low, high

    def compare(self, first: int, second: int, confidence: float) -> PairedTest:
        """Test whether two heads have the same AUROC, first minus second."""
        contrast = np.zeros(len(self.value))
        contrast[first] += 1
        contrast[second] -= 1
        difference = float(contrast @ self.value)
        error = max(0.0, float(contrast @ self.covariance @ contrast)) ** 0.5
        if error < 1e-12:
            return PairedTest(difference, 0.0, *[float("nan")] * 3)
        reach = _NORMAL.inv_cdf((1 + confidence) / 2) * error
        return PairedTest(
            difference=difference,
            standard_error=error,
            low=difference - reach,
            high=difference + reach,
            p_value=erfc(abs(difference) / error / 2**0.5),
        )


def delong_macro(
    labels: Int[np.ndarray, " image"],
    probabilities: Float64[np.ndarray, "head image class"],
    groups: Shaped[np.ndarray, " image"],
) -> DeLong:
    """Return the mean over classes with images of the one-versus-rest AUROC of each head.

    Raises:
        ValueError: a class has one image, or all images but one.
    """
    present = np.unique(labels)
    influences = []
    for head in probabilities:
        of_class = [_influence(head[:, k], labels == k) for k in present]
        influences.append(
            (
                float(np.mean([area for area, _ in of_class])),
                np.mean([influence for _, influence in of_class], axis=0),
            )
        )
    return _estimate(influences, groups)


def _influence(
    scores: Float64[np.ndarray, " image"], positive: Bool[np.ndarray, " image"]
) -> tuple[float, Float64[np.ndarray, " image"]]:
    """Return the AUROC and what each image adds to its error.

    With m positives and n negatives a positive of placement v adds (v - AUROC) / sqrt(m (m - 1)),
    a negative (v - AUROC) / sqrt(n (n - 1)): the squares sum to DeLong's variance.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        raise ValueError(
            f"DeLong's variance needs 2 images of each side, not {m} positive and {n} negative; "
            "usually a rare class has one test image. Use the bootstrap, or merge classes."
        )
    rank = rankdata(scores)
    placement = np.empty(len(scores))
    placement[positive] = (rank[positive] - rankdata(scores[positive])) / n
    placement[~positive] = 1 - (rank[~positive] - rankdata(scores[~positive])) / m
    area = float(placement[positive].mean())
    scale = np.where(positive, (m * (m - 1)) ** -0.5, (n * (n - 1)) ** -0.5)
    return area, (placement - area) * scale


def _estimate(
    influences: list[tuple[float, Float64[np.ndarray, " image"]]],
    groups: Shaped[np.ndarray, " image"],
) -> DeLong:
    _, group_of = np.unique(groups, return_inverse=True)
    of_group = np.stack([np.bincount(group_of, influence) for _, influence in influences])
    return DeLong(np.array([area for area, _ in influences]), of_group @ of_group.T)
