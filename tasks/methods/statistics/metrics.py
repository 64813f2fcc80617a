"""Classification metrics, each over many weightings of the same images at once.

A weighting w_i >= 0 says how often image i counts: once each for the sample as it is, as often as
it was drawn for a bootstrap resample. A metric at integer weights equals the metric of the arrays
in which image i is repeated w_i times. What sums over images is one matrix product for all of them.

A resample may lose a rare class. Where a weighting leaves a class without images:

- accuracy, log loss, calibration error: nothing, these are means over images;
- balanced accuracy: it is left out of the mean over classes;
- macro F1: it counts with 0 if it was predicted, and is left out otherwise;
- macro AUROC: it is left out, and so is a class that leaves no images of other classes.

A mean over no class, or no image, is NaN. The predicted class is the most probable one, the first
of equals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.sparse import csr_array

from curette.schemas.metrics import MetricName
from curette.tasks.methods.statistics.cumulative import sums_from_0, sums_in_cells

METRICS: tuple[MetricName, ...] = get_args(MetricName)

CALIBRATION_BINS = 15

_Labels = Int[np.ndarray, " image"]
_Probabilities = Float64[np.ndarray, "image class"]
_Weights = Float64[np.ndarray, "resample image"]
_Values = Float64[np.ndarray, " resample"]
_Confusion = Float64[np.ndarray, "resample class class"]


def metrics_of(
    labels: _Labels, probabilities: _Probabilities
) -> Callable[[_Weights], Float64[np.ndarray, "resample metric"]]:
    """Return what computes every metric of `METRICS`, in that order, for every weighting.

    What does not depend on the weights, such as the order of the images, is found out once.

    Raises:
        ValueError: labels are no class of `probabilities`, or rows of these do not sum to 1.
    """
    check_predictions(labels, probabilities)
    rankings = _rank_by_class(labels, probabilities)

    def measure(weights: _Weights) -> Float64[np.ndarray, "resample metric"]:
        confusion = confusion_matrices(labels, probabilities, weights)
        columns: dict[MetricName, _Values] = {
            "accuracy": accuracy(confusion),
            "balanced_accuracy": balanced_accuracy(confusion),
            "macro_f1": macro_f1(confusion),
            "macro_auroc": _mean_over_classes(rankings, weights),
            "expected_calibration_error": expected_calibration_error(
                labels, probabilities, weights
            ),
            "log_loss": log_loss(labels, probabilities, weights),
        }
        return np.stack([columns[name] for name in METRICS], axis=1)

    return measure


def confusion_matrices(
    labels: _Labels, probabilities: _Probabilities, weights: _Weights
) -> _Confusion:
    """Return the weight of each pair of true class (row) and predicted class (column)."""
    class_count = probabilities.shape[1]
    cell = labels * class_count + probabilities.argmax(1)
    counts = sums_in_cells(cell, class_count**2, weights.T)
    return counts.T.reshape(len(weights), class_count, class_count)


def accuracy(confusion: _Confusion) -> _Values:
    """Return the share of images predicted right."""
    return _ratio(np.trace(confusion, axis1=1, axis2=2), confusion.sum((1, 2)))


def balanced_accuracy(confusion: _Confusion) -> _Values:
    """Return the mean over classes with images of the share predicted right (recall)."""
    recall = _ratio(np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(2))
    return _mean_of_defined(recall)


def balanced_accuracies(
    right: Bool[np.ndarray, "answer image"], labels: _Labels, weights: _Weights
) -> Float64[np.ndarray, "resample answer"]:
    """Return the balanced accuracy of many answers at once, from which images each has right.

    A class that a resample lost is not counted in it.
    """
    with np.errstate(invalid="ignore"):  # here, since resamples are weighed in threads
        recalls = [
            weights[:, rows]
            @ right[:, rows].T.astype(np.float64)
            / weights[:, rows].sum(1)[:, None]
            for rows in (np.flatnonzero(labels == k) for k in np.unique(labels))
        ]
    return np.asarray(np.nanmean(recalls, axis=0))


def macro_f1(confusion: _Confusion) -> _Values:
    """Return the mean of F1 = 2 TP / (2 TP + FP + FN) over classes that occur or are predicted."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    return _mean_of_defined(_ratio(2 * right, confusion.sum(1) + confusion.sum(2)))


def log_loss(labels: _Labels, probabilities: _Probabilities, weights: _Weights) -> _Values:
    """Return the mean of -log p of the true class, p being at least the float64 epsilon.

    Without that floor one image of a class that was ruled out would make the mean infinite.
    """
    true = probabilities[np.arange(len(labels)), labels]
    loss = -np.log(true.clip(min=np.finfo(np.float64).eps))
    return _ratio(weights @ loss, weights.sum(1))


def macro_auroc(labels: _Labels, probabilities: _Probabilities, weights: _Weights) -> _Values:
    """Return the mean over classes of the one-versus-rest area under the ROC curve.

    For class k it is the probability that an image of k gets a higher p_k than one of another
    class, a tie counting one half (Hanley and McNeil, 1982): with positives P and negatives N,

        AUROC_k = 1 - sum_{j in N} w_j (P_<(j) + P_<=(j)) / 2  /  (w(P) w(N))

    where P_<(j) and P_<=(j) are the weights of the positives whose p_k is below, or not above, that
    of j. Where the negatives fall between the sorted positives is the same for all weightings.
    """
    return _mean_over_classes(_rank_by_class(labels, probabilities), weights)


def stratified_auroc(
    scores: Float64[np.ndarray, " image"],
    positive: Bool[np.ndarray, " image"],
    strata: Sequence[Int[np.ndarray, " _"]],
    columns: Float64[np.ndarray, "image resample"],
) -> _Values:
    """Return the AUROC over all pairs of a positive and a negative image of one stratum.

    Args:
        scores: of the images.
        positive: which of them are.
        strata: the image numbers of each; one stratum of all images gives the plain AUROC.
        columns: the weight of each image in each resample.

    Returns:
        NaN where no stratum has both.
    """
    parts = [_Ranking.of(scores[r], positive[r]).misordered(columns[r]) for r in strata]
    lost, pairs = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    return _share_in_order(lost, pairs)


def _rank_by_class(labels: _Labels, probabilities: _Probabilities) -> list["_Ranking"]:
    return [_Ranking.of(scores, labels == k) for k, scores in enumerate(probabilities.T)]


def _mean_over_classes(rankings: Sequence["_Ranking"], weights: _Weights) -> _Values:
    columns = np.ascontiguousarray(weights.T)  # so that an image's weights lie together
    areas = [_share_in_order(*ranking.misordered(columns)) for ranking in rankings]
    return _mean_of_defined(np.stack(areas, axis=1))


def _share_in_order(lost: _Values, pairs: _Values) -> _Values:
    return 1 - _ratio(lost, pairs)


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Where the negative images fall between the sorted positive ones; the same for all weights."""

    order: Int[np.ndarray, " positive"]
    """Positive images, the lowest score first."""
    between: csr_array
    """Positives passed (0, 1 .. all) x image: 1 for a negative, or 1/2 at both ends of its ties."""

    @classmethod
    def of(
        cls, scores: Float64[np.ndarray, " image"], positive: Bool[np.ndarray, " image"]
    ) -> "_Ranking":
        """Sort the images."""
        order = np.flatnonzero(positive)[np.argsort(scores[positive])]
        negative = np.flatnonzero(~positive)
        below = np.searchsorted(scores[order], scores[negative], side="left")
        not_above = np.searchsorted(scores[order], scores[negative], side="right")
        tied = np.flatnonzero(below != not_above)
        share = np.ones(len(negative) + len(tied))
        share[tied] = share[len(negative) :] = 0.5
        place = np.concatenate([below, not_above[tied]])
        image = np.concatenate([negative, negative[tied]])
        return cls(order, csr_array((share, (place, image)), shape=(len(order) + 1, len(scores))))

    def misordered(self, columns: Float64[np.ndarray, "image resample"]) -> tuple[_Values, _Values]:
        """Return the weight of the pairs in which the negative image scores higher, and of all.

        Both sums are over one kind alone, so that what a resample lost weighs nothing to the bit.
        """
        reached, between = sums_from_0(columns[self.order]), self.between @ columns
        return np.einsum("pr,pr->r", reached, between), reached[-1] * between.sum(0)


def expected_calibration_error(
    labels: _Labels, probabilities: _Probabilities, weights: _Weights
) -> _Values:
    """Return ECE = sum_b |sum_{i in b} w_i (right_i - confidence_i)| / sum_i w_i.

    The confidence is the probability of the predicted class, and bin b of the 15 holds those in
    ((b - 1)/15, b/15] (Guo et al., 2017). Bins of equal width, unlike bins of equal mass, are the
    same for every head and resample and the ones published values mean. ECE is biased upwards in
    small samples, and more so in a resample, which repeats images: its interval may lie above it.
    """
    confidence, right = _confidence(labels, probabilities)
    gaps = sums_in_cells(_bin_of(confidence), CALIBRATION_BINS, weights.T, right - confidence)
    return _ratio(np.abs(gaps).sum(0), weights.sum(1))


def check_predictions(labels: _Labels, probabilities: _Probabilities) -> None:
    """Raise ValueError unless labels are classes and rows of probabilities sum to 1."""
    class_count = probabilities.shape[1]
    if not len(labels) or labels.min() < 0 or labels.max() >= class_count:
        raise ValueError(
            f"labels must be in 0 .. {class_count - 1} and there must be some; usually the test "
            "split is empty or the heads were trained on another class list. Compare both."
        )
    if not np.allclose(probabilities.sum(1), 1) or (probabilities < 0).any():
        raise ValueError(
            "each row of probabilities must be non-negative and sum to 1; usually these are "
            "logits. Pass their softmax."
        )


def _confidence(
    labels: _Labels, probabilities: _Probabilities
) -> tuple[Float64[np.ndarray, " image"], Bool[np.ndarray, " image"]]:
    """Return the probability of the predicted class, and whether it is the true one."""
    return probabilities.max(1), probabilities.argmax(1) == labels


def _bin_of(confidence: Float64[np.ndarray, " image"]) -> Int[np.ndarray, " image"]:
    inner_edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    return np.searchsorted(inner_edges, confidence, side="left")


def _ratio(
    numerator: Float64[np.ndarray, "*shape"], denominator: Float64[np.ndarray, "*shape"]
) -> Float64[np.ndarray, "*shape"]:
    """Return the ratio, NaN where it is 0 / 0."""
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator != 0)


def _mean_of_defined(per_class: Float64[np.ndarray, "resample class"]) -> _Values:
    """Return the mean of what is not NaN, NaN where nothing is."""
    defined = ~np.isnan(per_class)
    total = np.where(defined, per_class, 0.0).sum(1)
    return _ratio(total, defined.sum(1).astype(np.float64))
