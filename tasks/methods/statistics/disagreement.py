"""Where two heads differ, and whether one of them is right more often there."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped
from scipy.special import xlogy
from scipy.stats import binomtest

from curette.tasks.methods.statistics.metrics import check_predictions


@dataclass(frozen=True)
class Agreement:
    """How many images each of two heads gets right, and where they part."""

    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong_alike: int
    both_wrong_apart: int
    p_value: float
    """Of the exact sign test over groups: McNemar's, where every image is its own group."""


def compare_decisions(
    labels: Int[np.ndarray, " image"],
    first: Float64[np.ndarray, "image class"],
    second: Float64[np.ndarray, "image class"],
    groups: Shaped[np.ndarray, " image"],
) -> Agreement:
    """Tabulate two heads' decisions, given their probabilities."""
    for probabilities in (first, second):
        check_predictions(labels, probabilities)
    says_first, says_second = first.argmax(1), second.argmax(1)
    right_first, right_second = says_first == labels, says_second == labels
    both_wrong = ~right_first & ~right_second
    return Agreement(
        both_right=int((right_first & right_second).sum()),
        only_first_right=int((right_first & ~right_second).sum()),
        only_second_right=int((~right_first & right_second).sum()),
        both_wrong_alike=int((both_wrong & (says_first == says_second)).sum()),
        both_wrong_apart=int((both_wrong & (says_first != says_second)).sum()),
        p_value=mcnemar_exact(right_first, right_second, groups),
    )


def mcnemar_exact(
    right_first: Bool[np.ndarray, " image"],
    right_second: Bool[np.ndarray, " image"],
    groups: Shaped[np.ndarray, " image"],
) -> float:
    """Return the two-sided exact p value of equally many images right.

    Of the groups in which one head gets more images right than the other, each has even odds of
    favouring either: a binomial test (McNemar, Psychometrika 1947, in its exact form). With groups
    of several images it is the sign test over groups, which counts a person once. 1 where no group
    tells the heads apart.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    lead = np.bincount(group_of, right_first.astype(np.float64) - right_second)
    for_first, for_second = int((lead > 0).sum()), int((lead < 0).sum())
    if for_first + for_second == 0:
        return 1.0
    return float(binomtest(for_first, for_first + for_second, 0.5).pvalue)


def differing_images(
    first: Float64[np.ndarray, "image class"], second: Float64[np.ndarray, "image class"]
) -> Int[np.ndarray, " differing"]:
    """Return the images on which two heads decide differently, the surest of both first.

    With a and b the two decisions and p, q the probabilities of the first and second head, images
    are ordered by (p_a - p_b) + (q_b - q_a), which is large where each is sure of its own.
    """
    a, b = first.argmax(1), second.argmax(1)
    row = np.arange(len(a))
    odds = first[row, a] - first[row, b] + second[row, b] - second[row, a]
    order = np.argsort(-odds, kind="stable")
    return order[(a != b)[order]]


def jensen_shannon(
    probabilities: Float64[np.ndarray, "head image class"],
) -> Float64[np.ndarray, " image"]:
    """Return how far the heads' probabilities of each image lie apart, in nats.

    That is H(mean of p_h) - mean of H(p_h): 0 where all agree, at most the logarithm of the number
    of heads (Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on
    Information Theory 1991, all weights equal).
    """
    of_mean = -xlogy(mean := probabilities.mean(0), mean).sum(1)
    mean_of = -xlogy(probabilities, probabilities).sum(2).mean(0)
    return np.maximum(of_mean - mean_of, 0.0)
