"""Choose the candidates that are worth most and together stand for all the others.

A set S of candidates is worth

    F(S) = (1 - w) * sum_{j in S} u(j) / U  +  w * sum_i max_{j in S} phi(i, j) / C

with utility u >= 0, similarity phi >= 0 (phi(i, j) says how well j stands for item i) and coverage
weight w. U is the largest sum of utilities that an allowed set can have and C the coverage of all
candidates together, so both terms and F lie in [0, 1] whatever the scales of u and phi. Weights
alpha and beta, as in LaBo (Yang et al., CVPR 2023), become w = beta / (alpha + beta).

A set is allowed if its candidates can be seated in groups of limited size, one seat each. Such sets
are the independent ones of a transversal matroid (Edmonds and Fulkerson, 1965), in which taking
what fits in descending order finds the allowed set of the largest sum (Edmonds, 1971).

F is normalised, monotone and submodular, so greedy reaches (1 - 1/e) of the optimum (Nemhauser,
Wolsey and Fisher, 1978), or half of it under quotas, which form a matroid (Fisher, Nemhauser and
Wolsey, 1978). Each selection also carries an upper bound on the optimum, so what was lost is known,
not guessed. Any thresholds v_i >= 0 give one (Cornuejols, Fisher and Nemhauser, 1977): for every
allowed set O

    F(O) <= w/C * sum_i v_i + sum_{j in O} [(1 - w) * u(j)/U + w/C * sum_i max(0, phi(i, j) - v_i)]

and the last sum is at most the largest that an allowed set has: of the k largest brackets, if k of
all may be picked. With v_i = max_{j in S} phi(i, j) this is the familiar F(S) plus the k largest
gains, or less where utilities count.

Similarities are rounded to 30 bits (1e-9 of the largest) and kept as integers, so that sums of them
are exact in any order: equal candidates tie exactly, ties go to the lower index, and the same
similarities give the same picks on any machine, dense or sparse.

After a pick, gains change only through the items that it represents better than before, so only
those rows are revisited. An item improves ever more rarely: k picks together cost about 1 + log k
passes over the similarity (measured: 4.4 for 50 of 400, 6.3 for 350 of 2,663, 7.3 for 1,000 of
8,000). Lazy greedy (Minoux, 1978) picks the same, took as long at best and four times as long on
20,000 candidates, and knows no fresh gains for the bound.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import fsum

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Int64
from scipy.sparse import csr_array

_Items = Int[np.ndarray, " part"]
_Levels = Int32[np.ndarray, " part"]
_Level = Int32[np.ndarray, " item"]
_Overlap = Int64[np.ndarray, " candidate"]
_Scores = Float[np.ndarray, " candidate"]
_Picks = Int64[np.ndarray, " pick"]

_BLOCK = 2**18  # similarities handled at a time: 1 MiB of them stays in a core's cache
_TIGHTENING = 2**34  # similarities looked at while the bound is tightened: about a minute


@dataclass(frozen=True, eq=False)
class Selection:
    """Picked candidates, best first, with what each one brought and how good the set can be."""

    indices: Int64[np.ndarray, " pick"]
    groups: Int64[np.ndarray, " pick"]  # the group whose quota the pick took up
    gains: Float[np.ndarray, " pick"]  # growth of F; greedy's never increase
    value: float  # F of the picks
    upper_bound: float  # no allowed set is worth more

    @property
    def certificate(self) -> float:
        """The proven share of the optimum, in [0, 1]: `value / upper_bound`."""
        return self.value / self.upper_bound if self.upper_bound > 0 else 1.0


class _DenseCoverage:
    """Similarity in whole units, and its sums between levels that items have reached."""

    def __init__(self, similarity: Float[np.ndarray, "item candidate"]) -> None:
        unit = _unit(similarity)
        self._phi: Int32[np.ndarray, "item candidate"] = np.empty(similarity.shape, np.int32)
        for rows in _blocks(len(similarity), entries=similarity.size):
            self._phi[rows] = np.rint(np.divide(similarity[rows], unit, dtype=np.float64))
        self.ceiling: _Level = self._phi.max(axis=1)  # max_j phi(i, j)
        self.size = self._phi.size

    def overlap(self, items: _Items, low: _Levels, high: _Levels) -> _Overlap:
        """Sum over these items how much of phi(i, j) lies between `low` and `high`, for all j."""
        total = np.full(len(self._phi), -low.sum(dtype=np.int64))
        for part in _blocks(len(items), entries=len(items) * len(total)):
            reached = np.clip(self._phi[items[part]], low[part, None], high[part, None])
            total += reached.sum(axis=0, dtype=np.int64)
        return total

    def column(self, candidate: int) -> tuple[_Items, _Levels]:
        """List the items that a candidate can stand for, and how well it does."""
        return np.arange(len(self._phi)), self._phi[:, candidate]

    def crowding(self, candidates: _Picks, level: _Level) -> Int[np.ndarray, " item"]:
        """Count for each item the given candidates that represent it above its level."""
        return np.count_nonzero(self._phi[:, candidates] > level[:, None], axis=1)


class _SparseCoverage:
    """The same for a similarity that is 0 but for the stored neighbours."""

    def __init__(self, similarity: csr_array) -> None:
        unit, units = _unit(similarity.data), np.empty(similarity.nnz, np.int32)
        for part in _blocks(similarity.nnz, entries=similarity.nnz):
            units[part] = np.rint(np.divide(similarity.data[part], unit, dtype=np.float64))
        rows = csr_array((units, similarity.indices, similarity.indptr), shape=similarity.shape)
        self._starts, self._candidates, self._phi = rows.indptr, rows.indices, rows.data
        self._columns = rows.tocsc()
        if not self._columns.has_canonical_format:
            raise ValueError(
                "A row of the sparse similarity names the same candidate twice, so its coverage "
                "would count double. Keep the larger of the two entries."
            )
        self.ceiling: _Level = rows.max(axis=1).toarray()
        self.size = self._phi.size

    def overlap(self, items: _Items, low: _Levels, high: _Levels) -> _Overlap:
        total = np.zeros(len(self.ceiling), dtype=np.int64)
        lengths = self._starts[items + 1] - self._starts[items]
        for part in _blocks(len(items), entries=int(lengths.sum())):
            entries, length = self._entries(items[part]), lengths[part]
            phi, floor = self._phi[entries], np.repeat(low[part], length)
            above = np.flatnonzero(phi > floor)  # most neighbours are below the level soon
            reached = np.minimum(phi[above], np.repeat(high[part], length)[above])
            growth = (reached - floor[above]).astype(np.int64)
            np.add.at(total, self._candidates[entries][above], growth)
        return total

    def _entries(self, items: _Items) -> slice | Int[np.ndarray, " entry"]:
        """Return where the rows of these items, in rising order, stand: as a slice if together."""
        first, last = items[0], items[-1]
        if last - first + 1 == len(items):
            return slice(self._starts[first], self._starts[last + 1])
        length = self._starts[items + 1] - self._starts[items]
        skipped = self._starts[items] - (np.cumsum(length) - length)
        return np.arange(length.sum()) + np.repeat(skipped, length)

    def column(self, candidate: int) -> tuple[_Items, _Levels]:
        entries = slice(*self._columns.indptr[candidate : candidate + 2])
        return self._columns.indices[entries], self._columns.data[entries]

    def crowding(self, candidates: _Picks, level: _Level) -> Int[np.ndarray, " item"]:
        chosen = self._columns[:, candidates]
        above = chosen.data > level[chosen.indices]
        return np.bincount(chosen.indices[above], minlength=len(level))


_Coverage = _DenseCoverage | _SparseCoverage


@dataclass(frozen=True, eq=False)
class SelectionProblem:
    """The objective F and how many candidates may be picked: of all, or of each group."""

    coverage: _Coverage
    coverage_weight: float  # w
    utility: _Scores  # u / U
    membership: Bool[np.ndarray, "candidate group"]
    quotas: Int64[np.ndarray, " group"]

    @classmethod
    def of_size(
        cls,
        similarity: Float[np.ndarray, "item candidate"] | csr_array,
        utility: Float[np.ndarray, " candidate"],
        k: int,
        coverage_weight: float,
    ) -> "SelectionProblem":
        """Ask for `k` of all candidates.

        Args:
            similarity: phi >= 0, square. A CSR array holds nearest neighbours only, all else being
                0; every row should name the item itself, which represents itself best.
            utility: u >= 0, on any scale.
            k: how many to pick, `1 <= k <= n`.
            coverage_weight: w in [0, 1]; 0 asks for the most useful, 1 for the best coverage.

        Raises:
            ValueError: `k` or the weight is out of range, the similarity is not square or names a
                neighbour twice, or a similarity or utility is negative or not finite.
        """
        everyone = np.ones((len(utility), 1), dtype=bool)
        return cls.with_quotas(similarity, utility, everyone, np.array([k]), coverage_weight)

    @classmethod
    def with_quotas(
        cls,
        similarity: Float[np.ndarray, "item candidate"] | csr_array,
        utility: Float[np.ndarray, " candidate"],
        membership: Bool[np.ndarray, "candidate group"],
        quotas: Int[np.ndarray, " group"],
        coverage_weight: float,
    ) -> "SelectionProblem":
        """Ask for `quotas[g]` candidates of every group g, which cover all items together.

        A candidate may belong to several groups; it is picked once and takes up the quota of one
        of them. An item counts once, whichever group's pick represents it. A set is allowed if its
        candidates can be dealt out to groups within their quotas (a transversal matroid), so what a
        shared candidate takes up depends on the other picks. Groups that share all they have may
        have too few for their quotas together: then fewer are picked.

        Args:
            similarity: phi >= 0, square, dense or CSR as in `of_size`.
            utility: u >= 0, on any scale.
            membership: which candidate belongs to which groups.
            quotas: how many to pick of each group, at least 1 and at most its members.
            coverage_weight: w in [0, 1].

        Raises:
            ValueError: as for `of_size`.
        """
        _check(similarity.shape, utility, membership, quotas, coverage_weight)
        coverage = (
            _DenseCoverage(similarity)
            if isinstance(similarity, np.ndarray)
            else _SparseCoverage(similarity)
        )
        problem = cls(coverage, coverage_weight, utility, membership, quotas.astype(np.int64))
        return problem.with_utility(utility)

    def with_utility(self, utility: Float[np.ndarray, " candidate"]) -> "SelectionProblem":
        """Return the same problem with other utilities on any scale; the similarity is shared.

        Raises:
            ValueError: a utility is negative or not finite.
        """
        _check_utility(utility)
        raw = utility.astype(np.float64)
        return replace(self, utility=raw / (fsum(raw[self.best(raw)]) or 1.0))

    @cached_property
    def kinds(self) -> "list[_Kind]":
        """The candidates that belong to the same groups, for all combinations of groups."""
        return _kinds(self.membership, self.quotas)

    @cached_property
    def unit_worth(self) -> float:
        """What one unit of coverage adds to F: w / C."""
        return self.coverage_weight / (int(self.coverage.ceiling.sum(dtype=np.int64)) or 1)

    def scores(self, overlap: _Overlap) -> _Scores:
        """Return (1 - w) u/U + w/C * overlap: the brackets of the bound, and greedy's gains."""
        return (1 - self.coverage_weight) * self.utility + self.unit_worth * overlap

    def best(self, scores: _Scores) -> Int64[np.ndarray, " chosen"]:
        """Return an allowed set whose scores, all >= 0, have the largest sum."""
        of_kinds = [kind.best(scores) for kind in self.kinds]
        best = np.concatenate(of_kinds)
        if all(len(kind.groups) == 1 for kind in self.kinds):
            return best
        number = np.repeat(np.arange(len(of_kinds)), [len(some) for some in of_kinds])
        order = np.argsort(-scores[best], kind="stable")
        seats = Seats(self.quotas)
        for candidate, kind in zip(best[order].tolist(), number[order].tolist(), strict=True):
            seats.take(candidate, self.kinds[kind].groups)
        return np.array(seats.picks, dtype=np.int64)

    def upper_bound(self, level: _Level, scores: _Scores) -> float:
        """Return the bound on F for thresholds `level`, given the scores above them."""
        covered = self.unit_worth * int(level.sum(dtype=np.int64))
        return covered + fsum(scores[self.best(scores)])

    def level(self, indices: _Picks) -> _Level:
        """Return max_{j in S} phi(i, j) in whole units: how well a set represents each item."""
        level = np.zeros_like(self.coverage.ceiling)
        for index in indices.tolist():
            items, phi = self.coverage.column(index)
            level[items] = np.maximum(level[items], phi)
        return level

    def value(self, indices: _Picks) -> float:
        """Return F of any set of candidates, for example of somebody else's selection."""
        useful = (1 - self.coverage_weight) * fsum(self.utility[indices])
        return useful + self.unit_worth * int(self.level(indices).sum(dtype=np.int64))


def select_greedily(problem: SelectionProblem) -> Selection:
    """Pick, one after another, the candidate that adds most to F; ties go to the lower index."""
    return _select(problem, lambda scores: scores)


def select_top_utility(problem: SelectionProblem) -> Selection:
    """Pick the most useful candidates whatever they cover: the baseline that ignores redundancy."""
    return _select(problem, lambda _: problem.utility)


def select_at_random(problem: SelectionProblem, seed: int) -> Selection:
    """Pick uniformly among the allowed candidates: the baseline that every method must beat."""
    lots = np.random.default_rng(seed).random(len(problem.utility))
    return _select(problem, lambda _: lots)


def tighten_upper_bound(
    problem: SelectionProblem, selection: Selection, steps: int = 100
) -> Selection:
    """Return the same picks, proven to be closer to the optimum, by searching better thresholds.

    Subgradient descent on the bound (Held, Wolfe and Crowder, 1974), with Polyak's step length and
    the selection's value as target. Each step costs one pass over the similarity, so a large
    one gets fewer. The search may be rough, since every bound it meets is valid and the least one
    is kept.
    """
    coverage = problem.coverage
    if problem.unit_worth == 0:
        return selection  # thresholds only bound coverage
    every_item = np.arange(len(coverage.ceiling))
    thresholds = problem.level(selection.indices).astype(np.float64)
    least, stalled, stride = np.inf, 0, 1.0
    for _ in range(min(steps, 1 + _TIGHTENING // max(1, coverage.size))):
        level = thresholds.astype(np.int32)
        scores = problem.scores(coverage.overlap(every_item, level, coverage.ceiling))
        bound = problem.upper_bound(level, scores)
        stalled = 0 if bound < least else stalled + 1
        least = min(least, bound)
        if stalled == 3:
            stride, stalled = 0.7 * stride, 0
        slope = 1 - coverage.crowding(problem.best(scores), level)
        excess = (bound - selection.value) / problem.unit_worth
        if excess <= 0 or not slope.any():
            break
        step = stride * excess / (slope @ slope) * slope
        thresholds = np.clip(thresholds - step, 0, coverage.ceiling)
    return replace(selection, upper_bound=max(selection.value, min(selection.upper_bound, least)))


class _Progress:
    """How well the picks so far represent each item, and what every candidate would still add."""

    def __init__(self, coverage: _Coverage) -> None:
        self._coverage = coverage
        self.level = np.zeros_like(coverage.ceiling)
        self.overlap = coverage.overlap(np.arange(len(self.level)), self.level, coverage.ceiling)

    def add(self, pick: int) -> None:
        """Raise the items that the pick represents better, and repair the gains they fed."""
        items, phi = self._coverage.column(pick)
        better = phi > self.level[items]
        items, phi = items[better], phi[better]
        self.overlap -= self._coverage.overlap(items, self.level[items], phi)
        self.level[items] = phi


@dataclass(frozen=True, eq=False)
class _Kind:
    """All candidates of the same groups."""

    groups: tuple[int, ...]
    members: Int64[np.ndarray, " member"]
    seats: int  # of its groups together: no allowed set has more of this kind

    def best(self, scores: _Scores) -> Int64[np.ndarray, " chosen"]:
        """Return those of the highest scores, as many as there are seats."""
        if len(self.members) <= self.seats:
            return self.members
        return self.members[np.argpartition(scores[self.members], -self.seats)[-self.seats :]]


def _kinds(membership: Bool[np.ndarray, "candidate group"], quotas: _Picks) -> list[_Kind]:
    packed = np.packbits(membership, axis=1)
    rows = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, number = np.unique(rows, return_index=True, return_inverse=True)
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    return [
        _Kind(tuple(np.flatnonzero(of).tolist()), those, int(quotas[of].sum()))
        for of, those in zip(membership[first], members, strict=True)
        if of.any()
    ]


class Seats:
    """Who takes up which group's quota: a pick moves on where that makes room for another."""

    def __init__(self, quotas: _Picks) -> None:
        self._room: list[int] = quotas.tolist()
        self._seated: list[dict[tuple[int, ...], list[int]]] = [{} for _ in self._room]
        self._full: set[int] = set()  # for good: no pick in them can move to a seat
        self.picks: list[int] = []

    def take(self, pick: int, groups: tuple[int, ...]) -> bool:
        """Seat a pick in its group with most room, or move others along the shortest way to one.

        Returns:
            Whether there was a seat. What finds none will never find one.
        """
        if self._full.issuperset(groups):
            return False
        roomiest = max(groups, key=self._room.__getitem__)
        way = [roomiest] if self._room[roomiest] else self._way_to_a_seat(groups)
        if not way:
            return False
        self.picks.append(pick)
        for group, onward in pairwise(way):
            moving = next(others for others in self._seated[group] if onward in others)
            moved = self._seated[group][moving].pop(0)
            if not self._seated[group][moving]:
                del self._seated[group][moving]
            self._seated[group].setdefault(groups, []).append(pick)
            pick, groups = moved, moving
        self._seated[way[-1]].setdefault(groups, []).append(pick)
        self._room[way[-1]] -= 1
        return True

    def _way_to_a_seat(self, groups: tuple[int, ...]) -> list[int]:
        """Search breadth first from group to group that a pick can move to."""
        ways = {group: [group] for group in groups}
        for group in (reached := list(groups)):  # grows on the way
            if self._room[group]:
                return ways[group]
            for onward in (g for others in self._seated[group] for g in others):
                if onward not in ways and onward not in self._full:
                    ways[onward] = [*ways[group], onward]
                    reached.append(onward)
        self._full.update(reached)
        return []

    def open_groups(self) -> Bool[np.ndarray, " group"]:
        """Tell which groups are not known to be full for good."""
        return np.array([group not in self._full for group in range(len(self._room))])

    def groups(self) -> list[int]:
        """Return the group in which each pick sits, in the order of the picks."""
        seat = {
            pick: group
            for group, seated in enumerate(self._seated)
            for picks in seated.values()
            for pick in picks
        }
        return [seat[pick] for pick in self.picks]


def _select(problem: SelectionProblem, priority: Callable[[_Scores], _Scores]) -> Selection:
    """Pick by highest priority, which may depend on the scores, and bound F at every prefix."""
    progress = _Progress(problem.coverage)
    seats = Seats(problem.quotas)
    allowed = np.asarray(problem.membership.any(axis=1))
    gains = []
    upper_bound = 1.0  # both terms are at most 1
    while allowed.any():
        scores = problem.scores(progress.overlap)
        pick = int(np.where(allowed, priority(scores), -1.0).argmax())
        if not seats.take(pick, tuple(np.flatnonzero(problem.membership[pick]).tolist())):
            allowed &= problem.membership[:, seats.open_groups()].any(axis=1)
            continue
        upper_bound = min(upper_bound, problem.upper_bound(progress.level, scores))
        gains.append(scores[pick])
        progress.add(pick)
        allowed[pick] = False

    scores = problem.scores(progress.overlap)
    upper_bound = min(upper_bound, problem.upper_bound(progress.level, scores))
    picks, groups = np.array(seats.picks, dtype=np.int64), np.array(seats.groups(), dtype=np.int64)
    value = problem.value(picks)
    return Selection(picks, groups, np.array(gains), value, max(value, upper_bound))


def _check(
    shape: tuple[int, ...],
    utility: Float[np.ndarray, " candidate"],
    membership: Bool[np.ndarray, "candidate group"],
    quotas: Int[np.ndarray, " group"],
    coverage_weight: float,
) -> None:
    if shape != (len(utility), len(utility)):
        raise ValueError(
            f"The similarity has shape {shape} for {len(utility)} utilities. Coverage compares the "
            "candidates with each other, so pass one row, one column and one utility for each."
        )
    if not 0 <= coverage_weight <= 1:
        raise ValueError(
            f"coverage_weight={coverage_weight} is outside [0, 1]. It is the share of coverage in "
            "the objective: beta / (alpha + beta) if utility weighs alpha and coverage beta."
        )
    for group, (quota, size) in enumerate(zip(quotas, membership.sum(axis=0), strict=True)):
        if not 1 <= quota <= size:
            raise ValueError(
                f"k={quota} is out of range for the {size} candidates of group {group}. Pick at "
                "least 1 and at most all of them, or propose more candidates."
            )


def _check_utility(utility: Float[np.ndarray, " candidate"]) -> None:
    if not (utility.min(initial=0.0) >= 0 and np.isfinite(utility).all()):
        raise ValueError(
            "A utility is negative or not finite, but no candidate may make a set worse. Drop "
            "candidates without a score and shift the others so that the smallest is 0."
        )


def _unit(phi: Float[np.ndarray, "*shape"]) -> float:
    """Return the length of one whole unit, of which the largest similarity has 2^30."""
    smallest, largest = float(phi.min(initial=0.0)), float(phi.max(initial=0.0))
    if not (smallest >= 0 and largest < np.inf):
        raise ValueError(
            f"A similarity is negative or not finite (smallest {smallest:.3g}, largest "
            f"{largest:.3g}), so coverage would have no guarantee. Cosines of opposing vectors are "
            "negative: clip cosine with max(0, s) or shift it with (1 + s) / 2. NaN usually comes "
            "from normalising a zero vector."
        )
    return largest / 2**30 or 1.0


def _blocks(length: int, entries: int) -> Iterator[slice]:
    """Cut `length` rows into slices of about `_BLOCK` entries each."""
    step = max(1, length * _BLOCK // max(1, entries))
    for start in range(0, length, step):
        yield slice(start, start + step)
