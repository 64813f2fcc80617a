"""What a set of candidates tells about a column that the study wants left alone.

U (n x M) holds the scores of n training images about the means of their class, scaled to unit
variance; h says in the same way which images have one of the column's values. A set S tells

    T(S) = max over values of  h'U_S (U_S'U_S + n rho I)^-1 U_S'h / h'h

of it: the share of a value's variance within classes that a ridge regression on the scores of S
explains. The set is charged and not its members: a dozen candidates that tell next to nothing each
may tell a column together. Nothing here knows how the column goes with the class, so what tells the
class alone costs nothing.

By chance k candidates tell k / m, with m images beyond the classes. Forgiving that is no good: a
choice that is free up to there goes there (`docs/results.md`). But where images are so few that
chance is most of it, the charge would be noise, and it counts for (1 - 20 / m), nothing below 20.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.linalg import solve_triangular

from curette.tasks.methods.selection.moments import NOTHING, Moments, blocks, over_blocks

_CHANCE = 20  # m below which what a set of the usual size tells is mostly chance
_RARE = 1e-6  # images: less than that is left of a value that whole classes have, by rounding


@dataclass(frozen=True, eq=False)
class AvoidedColumn:
    """One column, as training images have it."""

    candidates: Float[np.ndarray, "candidate dim"]
    rows: Float64[np.ndarray, "row dim"]
    """Image vectors about the means of their class, or as few with the same second moments."""
    spreads: Float64[np.ndarray, " candidate"]
    """Standard deviations of the scores within classes; infinite where they do not vary."""
    together: Float64[np.ndarray, "candidate value"]
    """How scores and values correlate within classes."""
    spare: int
    """m, at least 2."""
    ridge: float

    @property
    def reliance(self) -> float:
        """How far a charge for telling it can be relied on, from 0 to 1."""
        return max(0.0, 1 - _CHANCE / self.spare)

    def by_chance(self, size: int) -> float:
        """Return what as many scores that know nothing of it tell."""
        return min(1.0, size / self.spare)

    def beside(self, pick: int) -> Float64[np.ndarray, " candidate"]:
        """Return how the scores of every candidate correlate with one's, within classes."""
        direction = self.rows.T @ (self.rows @ self.candidates[pick])
        # As precise as the candidates are: a million of them take a second a pick in double.
        scores = self.candidates @ direction.astype(self.candidates.dtype)
        return np.asarray(scores / (self.spreads * self.spreads[pick]))

    def told_by_first(self, indices: Int[np.ndarray, " pick"]) -> Float64[np.ndarray, " first"]:
        """Return T of the first 0, 1, 2, ... and all of a set."""
        scores = (self.candidates[indices] @ self.rows.T) / self.spreads[indices][:, None]
        factor = np.linalg.cholesky(scores @ scores.T + self.ridge * np.eye(len(indices)))
        told = np.zeros((len(indices) + 1, self.together.shape[1]))
        added = solve_triangular(factor, self.together[indices], lower=True)
        told[1:] = np.cumsum(added**2, axis=0)
        return np.asarray(told.max(axis=1, initial=0.0))

    def told_by_one(self) -> Float64[np.ndarray, " candidate"]:
        """Return T of each candidate, which no set that it stands in falls below."""
        return np.asarray((self.together**2).max(axis=1, initial=0.0) / (1 + self.ridge))

    def told_alone(self) -> Float64[np.ndarray, " candidate"]:
        """Return the squared correlation of each candidate beyond chance, in [0, 1]."""
        chance = self.by_chance(1)
        told = (self.together**2).max(axis=1, initial=0.0)
        return np.asarray(np.clip((told - chance) / (1 - chance), 0, 1))


def avoided_column(
    candidates: Float[np.ndarray, "candidate dim"],
    images: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    class_count: int,
    levels: Int[np.ndarray, " image"],
    ridge: float,
) -> AvoidedColumn | None:
    """Read a column; None where too few images say how it goes within classes.

    Args:
        candidates: unit vectors of the statements.
        images: unit vectors of the training images.
        labels: their classes.
        class_count: K.
        levels: the column's value of each image, from 0; -1 where it is not known.
        ridge: rho, for scores of unit variance.
    """
    known = levels >= 0
    vectors, labels, levels = images[known].astype(np.float64), labels[known], levels[known]
    spare = len(labels) - class_count
    if spare < 2:
        return None
    one_hot = np.eye(class_count)[labels]
    about = one_hot / np.maximum(one_hot.sum(axis=0), 1)
    vectors -= one_hot @ (about.T @ vectors)
    has = np.eye(levels.max() + 1)[levels]
    has -= one_hot @ (about.T @ has)
    varied = np.sqrt((has**2).sum(axis=0))
    goals = has[:, varied > _RARE] / varied[varied > _RARE]
    rows, targets = Moments(vectors / np.sqrt(len(vectors)), goals).root()
    spreads = np.concatenate(
        [np.linalg.norm(candidates[block] @ rows.T, axis=1) for block in blocks(len(candidates))]
    )
    spreads = np.where(spreads > np.sqrt(NOTHING) * spreads.max(initial=0.0), spreads, np.inf)
    together = over_blocks(candidates, rows.T @ targets) / spreads[:, None]
    return AvoidedColumn(candidates, rows, spreads, together, spare, ridge)


def told_within_classes(
    candidates: Float[np.ndarray, "candidate dim"],
    images: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    class_count: int,
    levels: Int[np.ndarray, " image"],
) -> Float64[np.ndarray, " candidate"]:
    """Return what each candidate by itself tells about a column, among images of one class.

    The largest squared correlation of scores with having one of the column's values, both about
    the means of their class, less what chance gives it, in [0, 1]. Arguments as `avoided_column`.
    """
    column = avoided_column(candidates, images, labels, class_count, levels, ridge=0.0)
    return np.zeros(len(candidates)) if column is None else column.told_alone()
