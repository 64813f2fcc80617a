"""Choose the concepts that together tell most about the class.

Z (n x M) holds the scores of n training images for M candidates, each column centred and scaled to
unit variance under weights W that let every class count the same and sum to 1; Y (n x K) is
one-hot and centred likewise. A set S of candidates explains

    R(S) = tr( C_S' (G_SS + rho I)^-1 C_S ),    G = Z'WZ,  C = Z'WY

of the class variance tr(Y'WY): what a ridge regression of the class on the scores of S explains.
F(S) is its share, less what the candidates of S cost (see `told_within_classes`). R is normalised
and monotone, and submodular as far as scores are uncorrelated (Das and Kempe, ICML 2011), so what
greedy loses is not known beforehand; `relaxation` bounds it afterwards.

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

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from scipy.linalg import solve_triangular

from curette.tasks.methods.selection.discriminability import check_labels
from curette.tasks.methods.selection.facility_location import Seats

RIDGE = 0.01
"""rho, for scores of unit variance; chosen on drawn problems (`bench_ridge`)."""
PRIOR_IMAGES = 2.0
MOST_CORRELATED = 0.95

_BLOCK = 2**14  # candidates handled at a time
_TIE = 1e-10  # shares of class variance that count as equal
_TOO_LITTLE = 0.01  # a share that is not worth a look at the statements
_NOTHING = 1e-12  # of the largest variance: what rounding leaves of a direction without any


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
    costs: Float64[np.ndarray, " candidate"]

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
        """Return R(S) / tr(Y'WY) of any set, without its costs."""
        chosen = self.directions[indices]
        together = chosen @ self.targets
        gram = chosen @ chosen.T + self.ridge * np.eye(len(chosen))
        return float((together * np.linalg.solve(gram, together)).sum())

    def steps(self, indices: Int[np.ndarray, " pick"]) -> Float64[np.ndarray, " pick"]:
        """Return what each of a set adds to F beside those before it; they sum to F(S)."""
        chosen = self.directions[indices]
        factor = np.linalg.cholesky(chosen @ chosen.T + self.ridge * np.eye(len(chosen)))
        added = solve_triangular(factor, chosen @ self.targets, lower=True)
        return np.asarray((added**2).sum(axis=1) - self.costs[indices])

    def value(self, indices: Int[np.ndarray, " pick"]) -> float:
        """Return F(S)."""
        return self.explained(indices) - float(self.costs[indices].sum())

    def gains(self, indices: Int[np.ndarray, " pick"]) -> Float64[np.ndarray, " candidate"]:
        """Return what each candidate would add to F beside a set."""
        chosen = self.directions[indices]
        beside = self.directions @ chosen.T
        gram = chosen @ chosen.T + self.ridge * np.eye(len(chosen))
        solved = np.linalg.solve(gram, np.concatenate([chosen @ self.targets, beside.T], axis=1))
        classes = self.targets.shape[1]
        left = self.directions @ self.targets - beside @ solved[:, :classes]
        variance = np.einsum("ij,ij->i", self.directions, self.directions)
        variance -= np.einsum("ij,ji->i", beside, solved[:, classes:])
        spread = np.maximum(variance, 0) + self.ridge
        return np.asarray((left**2).sum(axis=1) / spread - self.costs)

    def with_costs(self, costs: Float[np.ndarray, " candidate"]) -> "ClassVariance":
        """Return the same problem in which candidates cost something, in shares."""
        return replace(self, costs=np.asarray(costs, dtype=np.float64))

    def meet(
        self, pick: int
    ) -> tuple[Float64[np.ndarray, " candidate"], Float64[np.ndarray, " candidate"]]:
        """Return how every candidate goes together with one: G_:j, and what its words add to that.

        Statements share a template, and real encoders give all statements of one template nearly
        the same scores. The second is the correlation of the scores that are left when the mean
        statement has been taken off every statement: near 1 where two say the same.
        """
        together = self.directions @ self.directions[pick]
        of_mean, variance = self._with_mean
        about = self.spreads * of_mean - variance
        lengths = self.spreads**2 - 2 * about - variance
        lengths = np.where(lengths > _NOTHING * self.spreads**2, lengths, 0.0)
        alike = self.spreads * self.spreads[pick] * together - about - about[pick] - variance
        scale = np.sqrt(lengths * lengths[pick])
        return together, np.divide(alike, scale, out=np.zeros_like(alike), where=scale > 0)


def class_variance(
    candidates: Float[np.ndarray, "candidate dim"],
    images: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    class_count: int,
    *,
    links: Bool[np.ndarray, "candidate class"] | None = None,
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
    moments = _Moments.of(images, np.eye(class_count)[labels], weights)
    fewest = int(np.bincount(labels, minlength=class_count).min())
    share = prior_images**2 / (fewest**2 + prior_images**2)
    if links is not None and links.any() and share > _TOO_LITTLE:
        said = _statements(candidates, links)
        moments = moments.scaled(candidates).mixed(said.scaled(candidates), share)
    root, targets = moments.root()
    directions = np.empty((len(candidates), len(root)))
    for block in _blocks(len(candidates)):
        directions[block] = candidates[block] @ root.T
    spreads = np.sqrt(np.einsum("ij,ij->i", directions, directions))
    known = spreads > np.sqrt(_NOTHING) * spreads.max(initial=0.0)
    directions /= np.where(known, spreads, np.inf)[:, None]
    return ClassVariance(
        directions, np.where(known, spreads, 0.0), targets, ridge, np.zeros(len(candidates))
    )


def told_within_classes(
    candidates: Float[np.ndarray, "candidate dim"],
    images: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    class_count: int,
    levels: Int[np.ndarray, " image"],
) -> Float64[np.ndarray, " candidate"]:
    """Return what each candidate tells about another column, among images of the same class.

    The largest squared correlation, over the column's values, of scores with having the value,
    both about the means of their class, less what chance gives it (1 / m for m images beyond the
    classes), in [0, 1]. It knows nothing of how the column goes with the class.

    Args:
        candidates: unit vectors of the statements.
        images: unit vectors of the training images.
        labels: their classes.
        class_count: K.
        levels: the column's value of each image, from 0; -1 where it is not known.
    """
    known = levels >= 0
    images, labels, levels = images[known].astype(np.float64), labels[known], levels[known]
    spare = len(labels) - class_count
    most = np.zeros(len(candidates))
    if spare < 2:
        return most
    one_hot = np.eye(class_count)[labels]
    about = one_hot / np.maximum(one_hot.sum(axis=0), 1)
    images -= one_hot @ (about.T @ images)
    has = np.eye(levels.max() + 1)[levels]
    has -= one_hot @ (about.T @ has)
    varied = (has**2).sum(axis=0)
    for block in _blocks(len(candidates), len(images)):
        scores = images @ candidates[block].T.astype(np.float64)
        squared = (scores**2).sum(axis=0)[:, None] * varied
        told = np.divide(
            (scores.T @ has) ** 2, squared, out=np.zeros_like(squared), where=squared > _NOTHING
        )
        most[block] = told.max(axis=1)
    return np.clip((most - 1 / spare) / (1 - 1 / spare), 0, 1)


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

    A candidate that says the same as a pick (see `ClassVariance.meet`) is not picked; where nothing
    else is left there are fewer picks.

    Args:
        problem: what candidates explain and cost.
        count: the most picks.
        rule: which candidates may come next.
        most_correlated: beyond it two candidates say the same.
    """
    most = min(count, problem.count)
    together = problem.directions @ problem.targets  # C
    variance = np.einsum("ij,ij->i", problem.directions, problem.directions) + problem.ridge
    factor = np.empty((most, problem.count))
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
        gain = (together**2).sum(axis=1) / variance - problem.costs
        gain[~allowed] = -np.inf
        pick = int((gain >= gain.max() - _TIE).argmax())
        free[pick] = False
        if not rule.take(pick):
            continue
        done = len(picks)
        column, alike = problem.meet(pick)
        fresh &= alike <= most_correlated
        row = (column - factor[:done, pick] @ factor[:done]) / np.sqrt(variance[pick])
        factor[done] = row
        together = together - np.outer(row, together[pick] / np.sqrt(variance[pick]))
        variance = np.maximum(variance - row**2, problem.ridge)
        picks.append(pick)
        gains.append(float(gain[pick]))
    return Ranking(np.array(picks, dtype=np.int64), np.array(gains))


@dataclass(frozen=True, eq=False)
class _Moments:
    """Rows of weighted, centred vectors and of what they are to explain."""

    rows: Float64[np.ndarray, "row dim"]
    targets: Float64[np.ndarray, "row class"]

    @classmethod
    def of(
        cls,
        vectors: Float[np.ndarray, "row dim"],
        targets: Float[np.ndarray, "row class"],
        weights: Float[np.ndarray, " row"],
    ) -> "_Moments":
        """Centre under the weights; the targets' total variance becomes 1."""
        mean, goal = weights @ vectors, weights @ targets
        roots = np.sqrt(weights)[:, None]
        aims = roots * (targets - goal)
        return cls(roots * (vectors - mean), aims / (np.sqrt((aims**2).sum()) or 1.0))

    def scaled(self, candidates: Float[np.ndarray, "candidate dim"]) -> "_Moments":
        """Scale the vectors so that scores of all candidates vary by 1 on average."""
        compact, targets = self.root()
        total = sum(
            float(((candidates[block] @ compact.T) ** 2).sum())
            for block in _blocks(len(candidates))
        )
        return _Moments(compact / (np.sqrt(total / len(candidates)) or 1.0), targets)

    def mixed(self, other: "_Moments", share: float) -> "_Moments":
        """Let the other rows count for a share."""
        roots = np.sqrt([1 - share, share])
        return _Moments(
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
        kept = values > _NOTHING * values[-1]
        lengths, axes = np.sqrt(values[kept]), axes[:, kept]
        return lengths[:, None] * axes.T, axes.T @ (self.rows.T @ self.targets) / lengths[:, None]


def _statements(
    candidates: Float[np.ndarray, "candidate dim"], links: Bool[np.ndarray, "candidate class"]
) -> _Moments:
    """Let every statement stand as an image of each class that it was proposed for."""
    statement, label = np.nonzero(links)
    sizes = links.sum(axis=0)
    weights = 1 / (np.count_nonzero(sizes) * sizes[label])
    return _Moments.of(candidates[statement], np.eye(links.shape[1])[label], weights)


def _blocks(length: int, width: int = 1) -> list[slice]:
    step = max(1, min(_BLOCK, 2**25 // width))
    return [slice(start, start + step) for start in range(0, length, step)]
