"""Sums over images for many weightings at once; an image's weights lie together in memory."""

import numpy as np
from jaxtyping import Float64, Int
from scipy.sparse import csr_array

_AT_A_TIME = 32


def sums_in_cells(
    cell: Int[np.ndarray, " image"],
    count: int,
    columns: Float64[np.ndarray, "image resample"],
    of: Float64[np.ndarray, " image"] | None = None,
) -> Float64[np.ndarray, "cell resample"]:
    """Return the sum over the images of each cell of their weight, times `of` where it is given.

    A product with a sparse matrix: of the cells each image knows only its own.
    """
    values = np.ones(len(cell)) if of is None else of
    shape = count, len(cell)
    return np.asarray(csr_array((values, (cell, np.arange(len(cell)))), shape=shape) @ columns)


def sums_from_0(
    columns: Float64[np.ndarray, "image resample"],
) -> Float64[np.ndarray, "_ resample"]:
    """Return the sums of the first 0, 1 .. all rows.

    np.cumsum walks down one column after the other, through all of the memory; here whole rows are
    added, dozens that lie apart in one call, so that it waits neither for memory nor for calls.
    """
    rows, wide = columns.shape
    runs = max(1, -(-rows // _AT_A_TIME))
    sums = np.zeros((1 + runs * _AT_A_TIME, wide))
    sums[1 : 1 + rows] = columns
    by_run = sums[1:].reshape(runs, _AT_A_TIME, wide)
    for i in range(1, _AT_A_TIME):
        by_run[:, i] += by_run[:, i - 1]
    for i in range(1, runs):
        by_run[i] += by_run[i - 1, -1]
    return sums[: 1 + rows]
