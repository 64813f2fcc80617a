"""How alike two scores rank the same images: Spearman's rho, for any weighting of the images.

It is the correlation of ranks (Spearman, American Journal of Psychology 1904), equal scores sharing
the mean of theirs. An image that a resample repeats is so many equal scores: its rank is the weight
below it plus half of its tie's, up to a constant that no correlation sees.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64

from curette.tasks.methods.statistics.cumulative import sums_from_0, sums_in_cells

_Weights = Float64[np.ndarray, "resample image"]
_AT_A_TIME = 2**22  # ranks


def rank_correlations_of(
    first: Float[np.ndarray, "image one"], second: Float[np.ndarray, "image other"]
) -> Callable[[_Weights], Float64[np.ndarray, "resample one other"]]:
    """Return what computes rho of every pair of a first and a second score, for any weighting.

    NaN where all images that a resample drew have the same score.
    """
    ties = [[np.unique(c, return_inverse=True)[1] for c in s.T] for s in (first, second)]
    wide = max(1, (first.shape[1] + second.shape[1]) * len(first))

    def measure(weights: _Weights) -> Float64[np.ndarray, "resample one other"]:
        step = max(1, _AT_A_TIME // wide)
        parts = [_correlate(ties, weights[i : i + step]) for i in range(0, len(weights), step)]
        return np.concatenate(parts)

    return measure


def _correlate(
    ties: list[list[np.ndarray]], weights: _Weights
) -> Float64[np.ndarray, "resample one other"]:
    columns = np.ascontiguousarray(weights.T)
    one, other = (np.stack([_ranks(tie, columns) for tie in of], axis=2) for of in ties)
    weighed = one * columns[:, :, None]
    crossed = weighed.transpose(1, 2, 0) @ other.transpose(1, 0, 2)
    lengths = [np.sqrt(np.einsum("irs,ir->rs", ranks**2, columns)) for ranks in (one, other)]
    product = lengths[0][:, :, None] * lengths[1][:, None, :]
    return np.divide(crossed, product, out=np.full_like(crossed, np.nan), where=product > 0)


def _ranks(
    tie: np.ndarray, columns: Float64[np.ndarray, "image resample"]
) -> Float64[np.ndarray, "image resample"]:
    """Return every image's rank, less the mean over the images drawn."""
    of_tie = sums_in_cells(tie, int(tie.max()) + 1, columns)
    below = sums_from_0(of_tie)
    return (below[:-1] + of_tie / 2 - below[-1] / 2)[tie]
