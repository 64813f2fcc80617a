"""How far off decisions are where classes have an order, over many weightings of the same images.

Both are of the confusion matrices O of true (row) and predicted (column) classes, numbered in
their order, 0 .. k - 1. A weighting that leaves no images gives NaN.
"""

import numpy as np
from jaxtyping import Float64

_Confusion = Float64[np.ndarray, "resample class class"]


def quadratic_weighted_kappa(confusion: _Confusion) -> Float64[np.ndarray, " resample"]:
    """Return 1 - sum_ij (i - j)^2 O_ij / sum_ij (i - j)^2 E_ij, E_ij = row_i column_j / total.

    1 is agreement throughout, 0 what decisions of the same frequencies reach by chance. NaN where
    chance could not be wrong either: all images are of one class, and all are decided to be.
    Source: Cohen, Weighted kappa, Psychological Bulletin 1968.
    """
    squared = _steps(confusion) ** 2
    observed = (squared * confusion).sum((1, 2))
    rows, columns = confusion.sum(2), confusion.sum(1)
    expected = np.einsum("ij,ri,rj->r", squared, rows, columns)
    expected = ratio(expected, confusion.sum((1, 2)))
    return 1 - ratio(observed, expected)


def mean_absolute_error(confusion: _Confusion) -> Float64[np.ndarray, " resample"]:
    """Return by how many classes decisions are off in the mean over images."""
    return ratio((_steps(confusion) * confusion).sum((1, 2)), confusion.sum((1, 2)))


def _steps(confusion: _Confusion) -> Float64[np.ndarray, "class class"]:
    number = np.arange(confusion.shape[1], dtype=np.float64)
    return np.abs(number[:, None] - number)


def ratio(
    numerator: Float64[np.ndarray, " resample"], denominator: Float64[np.ndarray, " resample"]
) -> Float64[np.ndarray, " resample"]:
    """Return quotients, NaN where nothing is divided by."""
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
