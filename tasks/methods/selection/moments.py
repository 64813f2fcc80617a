"""Vectors of images by their second moments, of which there are never more than dimensions.

What a regression on scores can know of n images is in R'R and R'Y for any R with as many rows as
vectors have dimensions, so a pass over the candidates costs the same for any number of images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

NOTHING = 1e-12
"""Of the largest variance: what rounding leaves of a direction without any."""

_BLOCK = 2**14  # candidates handled at a time


@dataclass(frozen=True, eq=False)
class Moments:
    """Rows of weighted, centred vectors and of what they are to explain."""

    rows: Float64[np.ndarray, "row dim"]
    targets: Float64[np.ndarray, "row class"]

    @classmethod
    def of(
        cls,
        vectors: Float[np.ndarray, "row dim"],
        targets: Float[np.ndarray, "row class"],
        weights: Float[np.ndarray, " row"],
    ) -> "Moments":
        """Centre under the weights; the targets' total variance becomes 1."""
        mean, goal = weights @ vectors, weights @ targets
        roots = np.sqrt(weights)[:, None]
        aims = roots * (targets - goal)
        return cls(roots * (vectors - mean), aims / (np.sqrt((aims**2).sum()) or 1.0))

    def scaled(self, candidates: Float[np.ndarray, "candidate dim"]) -> "Moments":
        """Scale the vectors so that scores of all candidates vary by 1 on average."""
        compact, targets = self.root()
        total = sum(
            float(((candidates[block] @ compact.T) ** 2).sum()) for block in blocks(len(candidates))
        )
        return Moments(compact / (np.sqrt(total / len(candidates)) or 1.0), targets)

    def mixed(self, other: "Moments", share: float) -> "Moments":
        """Let the other rows count for a share."""
        roots = np.sqrt([1 - share, share])
        return Moments(
            np.concatenate([roots[0] * self.rows, roots[1] * other.rows]),
            np.concatenate([roots[0] * self.targets, roots[1] * other.targets]),
        )

    def root(
        self,
    ) -> tuple[Float64[np.ndarray, "direction dim"], Float64[np.ndarray, "direction class"]]:
        """Return no more rows than dimensions with the same second moments."""
        if len(self.rows) <= self.rows.shape[1]:
            return self.rows, self.targets
        values, axes = np.linalg.eigh(self.rows.T @ self.rows)
        kept = values > NOTHING * values[-1]
        lengths, axes = np.sqrt(values[kept]), axes[:, kept]
        return lengths[:, None] * axes.T, axes.T @ (self.rows.T @ self.targets) / lengths[:, None]


def blocks(length: int) -> Iterator[slice]:
    """Yield slices of candidates that are handled at a time, so that no copy of all is made."""
    return (slice(start, start + _BLOCK) for start in range(0, length, _BLOCK))


def over_blocks(
    candidates: Float[np.ndarray, "candidate dim"], by: Float64[np.ndarray, "dim *column"]
) -> Float64[np.ndarray, "candidate *column"]:
    """Return `candidates @ by`, without all candidates in double precision at once."""
    product = np.empty((len(candidates), *by.shape[1:]))
    for block in blocks(len(candidates)):
        product[block] = candidates[block] @ by
    return product
