"""Choose the concepts that together tell most about the class.

Z (n x M) holds the scores of n training images for M candidates, each column centred and scaled to
unit variance under weights W that let every class count the same and sum to 1; Y (n x K) is
one-hot and centred likewise. A set S of candidates explains

    R(S) = tr( C_S' (G_SS + rho I)^-1 C_S ),    G = Z'WZ,  C = Z'WY

of the class variance tr(Y'WY): what a ridge regression of the class on the scores of S explains.
F(S) is its share, less what S tells about columns that the study wants left alone (`avoidance`).
R is normalised and monotone, and submodular as far as scores are uncorrelated (Das and Kempe, ICML
2011), so what greedy loses is not known beforehand; `relaxation` bounds it afterwards.

**Fast.** Images enter through their second moments alone. With X~ = sqrt(W) (X - mean) and any R
with R'R = X~'X~, the scores Z may be replaced by R T', which have no more rows than vectors have
dimensions, however many images there are. A row of `directions` is a candidate's column of that
matrix, so G is `directions @ directions.T` and never held. One step of forward selection is a step
of the pivoted Cholesky factorisation of G + rho I: a pass over the directions and one over the
factor so far, O(M (d + picks)), in place of O(M^2).

**Few images.** With a handful of images G and C are mostly noise. What the statements say by
themselves steps in: each statement stands as an image of the classes that it was proposed for, and
all of them together count for the share p^2 / (p^2 + n^2), with n images of the rarest class. That
is shrinkage of G towards the similarity of the statements, and of C towards the links (the idea of
Ledoit and Wolf, J. Multivariate Analysis 2004, with a target that is known instead of the
identity). It fades faster than their p / (p + n), so that from some dozens of images on it is less
than the ridge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from scipy.linalg import solve_triangular

from curette.tasks.methods.selection.avoidance import AvoidedColumn, avoided_column
from curette.tasks.methods.selection.discriminability import check_labels
from curette.tasks.methods.selection.facility_location import Seats
from curette.tasks.methods.selection.moments import NOTHING, Moments, over_blocks

RIDGE = 0.01
"""rho, for scores of unit variance; chosen on drawn problems (`bench_ridge`)."""
PRIOR_IMAGES = 2.0
MOST_CORRELATED = 0.95

_TIE = 1e-10  # shares of class variance that count as equal
_TOO_LITTLE = 0.01  # a share that is not worth a look at the statements


@dataclass(frozen=True, eq=False)
class ClassVariance:
    """What sets of candidates explain of the classes, as shares of the class variance."""

    directions: Float64[np.ndarray, "candidate direction"]
    """z_j as rows of unit length, or 0 for a candidate whose scores do not vary."""
    spreads: Float64[np.ndarray, " candidate"]
    """Standard deviations of the scores, which the directions were divided by."""
    targets: Float64[np.ndarray, "direction class"]
    """Y, of which the sum of squares is at most 1."""
    ridge: float
    avoided: tuple[AvoidedColumn, ...] = ()

    @property
    def count(self) -> int:
        """M."""
        return len(self.directions)

    @cached_property
    def _with_mean(self) -> tuple[Float64[np.ndarray, " candidate"], float]:
        """How every candidate goes together with the mean statement, and that one's variance."""
        mean = self.spreads @ self.directions / self.count
        return self.directions @ mean, float(mean @ mean)

    def explained(self, indices: Int[np.ndarray, " pick"]) -> float:
        """Return R(S) / tr(Y'WY) of any set, without its cost."""
        chosen = self.directions[indices]
        together = chosen @ self.targets
        gram = chosen @ chosen.T + self.ridge * np.eye(len(chosen))
        return float((together * np.linalg.solve(gram, together)).sum())

    def steps(self, indices: Int[np.ndarray, " pick"]) -> Float64[np.ndarray, " pick"]:
        """Return what each of a set adds to F beside those before it; they sum to F(S)."""
        chosen = self.directions[indices]
        factor = np.linalg.cholesky(chosen @ chosen.T + self.ridge * np.eye(len(chosen)))
        added = solve_triangular(factor, chosen @ self.targets, lower=True)
        told = sum(c.reliance * np.diff(c.told_by_first(indices)) for c in self.avoided)
        return np.asarray((added**2).sum(axis=1) - told)

    def value(self, indices: Int[np.ndarray, " pick"]) -> float:
        """Return F(S)."""
        told = sum(c.reliance * float(c.told_by_first(indices)[-1]) for c in self.avoided)
        return self.explained(indices) - told

    def gains(self, indices: Int[np.ndarray, " pick"]) -> Float64[np.ndarray, " candidate"]:
        """Return what each candidate would add to F beside a set."""
        choice = Choice(self, len(indices))
        for pick in indices.tolist():
            choice.take(pick)
        return choice.gains()

    def least_costs(self) -> Float64[np.ndarray, " candidate"]:
        """Return what any set costs at least in which a candidate stands."""
        told = (c.reliance * c.told_by_one() for c in self.avoided)
        return sum(told, start=np.zeros(self.count))

    def resemblance(
        self, pick: int, together: Float64[np.ndarray, " candidate"]
    ) -> Float64[np.ndarray, " candidate"]:
        """Return how far each candidate says what one says, near 1 where they say the same.

        Statements share a template, and real encoders give all statements of one template nearly
        the same scores. So it is the correlation of the scores that are left when the mean
        statement has been taken off every statement; `together` is that of the whole scores, G_:j.
        """
        of_mean, variance = self._with_mean
        about = self.spreads * of_mean - variance
        lengths = self.spreads**2 - 2 * about - variance
        lengths = np.where(lengths > NOTHING * self.spreads**2, lengths, 0.0)
        alike = self.spreads * self.spreads[pick] * together - about - about[pick] - variance
        scale = np.sqrt(lengths * lengths[pick])
        return np.divide(alike, scale, out=np.zeros_like(alike), where=scale > 0)


class Choice:
    """A set that grows, and what each candidate would add to F beside it."""

    def __init__(self, problem: ClassVariance, most: int) -> None:
        variance = np.einsum("ij,ij->i", problem.directions, problem.directions)
        self._problem = problem
        self._classes = _Forward(
            problem.directions @ problem.targets, variance, problem.ridge, most
        )
        self._columns = [
            _Forward(column.together, np.isfinite(column.spreads).astype(float), column.ridge, most)
            for column in problem.avoided
        ]

    def gains(self) -> Float64[np.ndarray, " candidate"]:
        """Return what each candidate would add."""
        gains = self._classes.adds().sum(axis=1)
        for column, forward in zip(self._problem.avoided, self._columns, strict=True):
            then = (forward.explained + forward.adds()).max(axis=1, initial=0.0)
            gains -= column.reliance * (then - forward.explained.max(initial=0.0))
        return np.asarray(gains)

    def take(self, pick: int) -> Float64[np.ndarray, " candidate"]:
        """Add one; return how it goes together with every candidate, G_:j."""
        together = self._problem.directions @ self._problem.directions[pick]
        self._classes.take(pick, together)
        for column, forward in zip(self._problem.avoided, self._columns, strict=True):
            forward.take(pick, column.beside(pick))
        return np.asarray(together)


class _Forward:
    """Forward selection for a ridge regression: a pivoted Cholesky factorisation of G + rho I."""

    def __init__(
        self,
        together: Float64[np.ndarray, "candidate target"],
        variance: Float64[np.ndarray, " candidate"],
        ridge: float,
        most: int,
    ) -> None:
        self._together, self._variance, self._ridge = together, variance + ridge, ridge
        self._factor = np.empty((most, len(variance)))
        self._done = 0
        self.explained = np.zeros(together.shape[1])

    def adds(self) -> Float64[np.ndarray, "candidate target"]:
        """Return what each candidate explains of each target beside those taken."""
        return self._together**2 / self._variance[:, None]

    def take(self, pick: int, column: Float64[np.ndarray, " candidate"]) -> None:
        """Take one, whose column of G it is."""
        done, root = self._done, np.sqrt(self._variance[pick])
        row = (column - self._factor[:done, pick] @ self._factor[:done]) / root
        added = self._together[pick] / root
        self._factor[done] = row
        self._together = self._together - np.outer(row, added)
        self._variance = np.maximum(self._variance - row**2, self._ridge)
        self.explained = self.explained + added**2
        self._done += 1


def class_variance(
    candidates: Float[np.ndarray, "candidate dim"],
    images: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    class_count: int,
    *,
    links: Bool[np.ndarray, "candidate class"] | None = None,
    avoided: Sequence[Int[np.ndarray, " image"]] = (),
    prior_images: float = PRIOR_IMAGES,
    ridge: float = RIDGE,
) -> ClassVariance:
    """State the problem for training images.

    Args:
        candidates: unit vectors of the statements.
        images: unit vectors of the training images, never of those the result is tested on.
        labels: their classes, from 0 to `class_count - 1`.
        class_count: K, at least 2.
        links: which candidate was proposed for which class; without them nothing is shrunk.
        avoided: what each avoided column says of the images, from 0; -1 where it says nothing.
        prior_images: p, with which all statements together count for p^2 / (p^2 + n^2), n images
            being those of the rarest class.
        ridge: rho > 0.

    Raises:
        ValueError: a label is out of range, a class has no image, or the ridge is not positive.
    """
    check_labels(labels, class_count)
    if not ridge > 0:
        raise ValueError(f"the ridge must be above 0, got {ridge}: without it sets can be singular")
    weights = 1 / (class_count * np.bincount(labels, minlength=class_count)[labels])
    moments = Moments.of(images, np.eye(class_count)[labels], weights)
    fewest = int(np.bincount(labels, minlength=class_count).min())
    share = prior_images**2 / (fewest**2 + prior_images**2)
    if links is not None and links.any() and share > _TOO_LITTLE:
        said = _statements(candidates, links)
        moments = moments.scaled(candidates).mixed(said.scaled(candidates), share)
    root, targets = moments.root()
    directions = over_blocks(candidates, root.T)
    spreads = np.sqrt(np.einsum("ij,ij->i", directions, directions))
    known = spreads > np.sqrt(NOTHING) * spreads.max(initial=0.0)
    directions /= np.where(known, spreads, np.inf)[:, None]
    columns = (
        avoided_column(candidates, images, labels, class_count, levels, ridge) for levels in avoided
    )
    return ClassVariance(
        directions,
        np.where(known, spreads, 0.0),
        targets,
        ridge,
        tuple(column for column in columns if column is not None),
    )


@runtime_checkable
class Rule(Protocol):
    """Which candidates may be picked next, besides those that say something new."""

    def open(self) -> Bool[np.ndarray, " candidate"]:
        """Tell which candidates may come next."""

    def insists(self) -> bool:
        """Whether one of them must come, though it should say what another pick says."""

    def take(self, pick: int) -> bool:
        """Pick one, or refuse to."""


class EachClass:
    """Of so many picks, every class that has candidates gets one that was proposed for it.

    The picks are free until the classes that are still without one are as many as the picks that
    are left. With fewer picks than classes, as many classes as can be get one.
    """

    def __init__(self, links: Bool[np.ndarray, "candidate class"], count: int) -> None:
        self._links, self._left = links, count
        self._without = links.any(axis=0)

    def open(self) -> Bool[np.ndarray, " candidate"]:
        """Tell which candidates may come next."""
        if self.insists():
            return np.asarray(self._links[:, self._without].any(axis=1))
        return np.full(len(self._links), self._left > 0)

    def insists(self) -> bool:
        """Whether every pick that is left must bring a class its first."""
        return 0 < self._left <= int(self._without.sum())

    def take(self, pick: int) -> bool:
        """Pick one."""
        self._without = self._without & ~self._links[pick]
        self._left -= 1
        return True


class Quotas:
    """Every class has seats for so many, and a pick takes one in a class it was proposed for.

    Picks move to other classes of theirs where that makes room (see `facility_location.Seats`).
    """

    def __init__(
        self, links: Bool[np.ndarray, "candidate class"], quotas: Int64[np.ndarray, " class"]
    ) -> None:
        self._links, self._seats = links, Seats(quotas)

    def open(self) -> Bool[np.ndarray, " candidate"]:
        """Tell which candidates belong to a class that is not full for good."""
        return np.asarray(self._links[:, self._seats.open_groups()].any(axis=1))

    def insists(self) -> bool:
        """Nothing must be picked."""
        return False

    def take(self, pick: int) -> bool:
        """Seat one, if there is room."""
        return self._seats.take(pick, tuple(np.flatnonzero(self._links[pick]).tolist()))


@dataclass(frozen=True, eq=False)
class Ranking:
    """Picks in their order, and what each added to F."""

    indices: Int64[np.ndarray, " pick"]
    gains: Float64[np.ndarray, " pick"]


def rank_greedily(
    problem: ClassVariance, count: int, rule: Rule, most_correlated: float = MOST_CORRELATED
) -> Ranking:
    """Pick, one after another, the candidate that adds most to F; ties go to the lower index.

    A candidate that says the same as a pick (see `ClassVariance.resemblance`) is not picked; where
    nothing else is left there are fewer picks.

    Args:
        problem: what candidates explain and cost.
        count: the most picks.
        rule: which candidates may come next.
        most_correlated: beyond it two candidates say the same.
    """
    most = min(count, problem.count)
    choice = Choice(problem, most)
    fresh = np.ones(problem.count, dtype=bool)  # says nothing that a pick says
    free = np.ones(problem.count, dtype=bool)
    picks: list[int] = []
    gains: list[float] = []
    while len(picks) < most:
        allowed = rule.open() & free
        if (allowed & fresh).any() or not rule.insists():
            allowed &= fresh
        if not allowed.any():
            break
        gain = choice.gains()
        gain[~allowed] = -np.inf
        pick = int((gain >= gain.max() - _TIE).argmax())
        free[pick] = False
        if not rule.take(pick):
            continue
        fresh &= problem.resemblance(pick, choice.take(pick)) <= most_correlated
        picks.append(pick)
        gains.append(float(gain[pick]))
    return Ranking(np.array(picks, dtype=np.int64), np.array(gains))


def _statements(
    candidates: Float[np.ndarray, "candidate dim"], links: Bool[np.ndarray, "candidate class"]
) -> Moments:
    """Let every statement stand as an image of each class that it was proposed for."""
    statement, label = np.nonzero(links)
    sizes = links.sum(axis=0)
    weights = 1 / (np.count_nonzero(sizes) * sizes[label])
    return Moments.of(candidates[statement], np.eye(links.shape[1])[label], weights)
