"""Domain shift, as statistics for the bootstrap: in domain, out of domain, the gap, worst group.

For worst-group accuracy see Sagawa et al., Distributionally robust neural networks, ICLR 2020.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int

from curette.tasks.methods.statistics.metrics import metrics_of

_Labels = Int[np.ndarray, " image"]

ShiftValue = Literal["in_domain", "out_of_domain", "gap", "mean"]
SHIFT_VALUES: tuple[ShiftValue, ...] = get_args(ShiftValue)


def shift_metrics_of(
    labels: _Labels,
    probabilities: Float64[np.ndarray, "image class"],
    in_domain: Float64[np.ndarray, " image"],
    out_of_domain: Float64[np.ndarray, " image"],
) -> Callable[
    [Float64[np.ndarray, "resample image"]], Float64[np.ndarray, "resample value metric"]
]:
    """Return what computes every metric in and out of domain, the gap, and the mean of both.

    The gap, in minus out, keeps its sign, since the size of a difference has no unbiased interval
    around 0.

    Args:
        in_domain: what each image counts there; 0 where it does not.
        out_of_domain: likewise.
    """
    sides = [
        (here, side[here, None], metrics_of(labels[here], probabilities[here]))
        for side in (in_domain, out_of_domain)
        for here in [side > 0]
    ]

    def measure(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample value metric"]:
        inside, outside = (of_side((weights.T[here] * each).T) for here, each, of_side in sides)
        return np.stack([inside, outside, inside - outside, (inside + outside) / 2], axis=1)

    return measure


def worst_group_accuracy(
    right: Float64[np.ndarray, " image"],
    cell: Int[np.ndarray, " image"],
    weights: Float64[np.ndarray, "resample image"],
) -> Float64[np.ndarray, " resample"]:
    """Return the lowest accuracy over cells such as class x attribute; NaN where all are empty.

    Args:
        right: 1 where an image is predicted right, or the share of several draws that do.
        cell: 0, 1, ...; -1 for images that count in none, such as those of a cell that is too small
            to be judged.
    """
    member = (cell[:, None] == np.arange(int(cell.max()) + 1)).astype(np.float64)
    images = weights @ member
    with np.errstate(invalid="ignore"):
        of_cell = (weights @ (member * right[:, None])) / images
    lowest = np.where(images > 0, of_cell, np.inf).min(1, initial=np.inf)
    return np.where(np.isinf(lowest), np.nan, lowest)
