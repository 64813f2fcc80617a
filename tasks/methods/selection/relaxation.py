"""How much of the class variance any set of k candidates can explain, at most.

A set that may take every candidate in part, s_j in [0, 1] of it with sum s = k, leaves unexplained

    c(s) = tr( Y' A(s)^-1 Y ),    A(s) = I + sum_j s_j z_j z_j' / rho

and c is convex, equal to tr(Y'Y) - R(S) where s marks a set S (Pilanci, Wainwright and El Ghaoui,
Math. Programming 2015; Bertsimas and Van Parys, Ann. Stat. 2020). By duality any matrix B bounds
it: with
b = |B|^2 + the k largest of |z_j'B|^2 / rho,

    R(S) <= tr(Y'Y) - max_t (2 t tr(B'Y) - t^2 b) = tr(Y'Y) - tr(B'Y)^2 / b    for every S of k

and B = A(s)^-1 Y makes it tight at the minimum of c. Frank and Wolfe's method (Jaggi, ICML 2013)
walks there: the k largest of |z_j'B|^2 are both its next direction and the bound, so every step
has one and the best is kept. The bound holds for all sets of k, also those that a rule forbids.

A set that tells avoided columns costs at least what its dearest candidate makes any set cost. So
the sets fall apart by that: those whose dearest lies between two levels explain no more than sets
of all candidates below the upper level, and cost no less than the lower.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.linalg import cho_factor, cho_solve

from curette.tasks.methods.selection.explained_variance import ClassVariance

_LEVELS = (0.0, 0.01, 0.03, 0.1, 0.3, np.inf)  # of cost, in shares of class variance
_GUESSES = 3
_WORTHLESS = 3e-4  # a step that lowers the bound by less of it is a miss
_MISSES = 3  # in a row, and it is the last: bounds do not fall at every step, though c(s) does


def upper_bound(
    problem: ClassVariance,
    picks: Int[np.ndarray, " pick"],
    count: int | None = None,
    steps: int = 25,
) -> float:
    """Return what no set of `count` candidates exceeds in F, starting the search from some picks.

    Args:
        problem: what candidates explain and cost.
        picks: a good set, from which the relaxed one is sought.
        count: k; as many as the picks if nothing is said.
        steps: the most steps; each is a pass over the directions.
    """
    size = min(len(picks) if count is None else count, problem.count)
    if size == 0:
        return 0.0
    costs = problem.least_costs()
    bound = problem.value(picks)
    for low, high in pairwise(_LEVELS):
        open_to_all = costs < high
        dearest = open_to_all & (costs >= low)
        if dearest.any() and open_to_all.sum() >= size:
            least = float(costs[dearest].min())
            bound = max(bound, _most_explained(problem, picks, open_to_all, size, steps) - least)
    return bound


def _most_explained(
    problem: ClassVariance,
    start: Int[np.ndarray, " pick"],
    allowed: Bool[np.ndarray, " candidate"],
    size: int,
    steps: int,
) -> float:
    """Bound R of all sets of a size from the allowed candidates."""
    directions, targets = problem.directions, problem.targets
    total = float((targets**2).sum())
    unit = np.eye(directions.shape[1])
    system = unit + _outer(directions[start]) / problem.ridge
    least, misses = np.inf, 0
    for _ in range(steps):
        dual = _solved(system, targets)
        worth = ((directions @ dual) ** 2).sum(axis=1) / problem.ridge
        worth[~allowed] = 0.0
        best = np.argpartition(-worth, size - 1)[:size]
        reached, length = float((dual * targets).sum()), float((dual**2).sum())
        bound = total - reached**2 / (length + float(worth[best].sum()))
        misses = misses + 1 if bound > least - _WORTHLESS * abs(least) else 0
        least = min(least, bound)
        if misses == _MISSES:
            break
        change = unit + _outer(directions[best]) / problem.ridge - system
        system = system + _stride(system, change, targets, dual) * change
    return least


def _outer(
    rows: Float64[np.ndarray, "row direction"],
) -> Float64[np.ndarray, "direction direction"]:
    return rows.T @ rows


def _solved(
    system: Float64[np.ndarray, "direction direction"],
    targets: Float64[np.ndarray, "direction class"],
) -> Float64[np.ndarray, "direction class"]:
    return np.asarray(cho_solve(cho_factor(system, check_finite=False), targets))


def _stride(
    system: Float64[np.ndarray, "direction direction"],
    change: Float64[np.ndarray, "direction direction"],
    targets: Float64[np.ndarray, "direction class"],
    dual: Float64[np.ndarray, "direction class"],
) -> float:
    """Seek the least c(s) between the two systems, where its slope is 0: it is convex."""

    def slope(stride: float) -> float:
        return slope_at(_solved(system + stride * change, targets))

    def slope_at(dual: Float64[np.ndarray, "direction class"]) -> float:
        return -float((dual * (change @ dual)).sum())

    low, high = 0.0, 1.0
    falls, rises = slope_at(dual), slope(high)
    if falls >= 0 or rises <= 0:
        return low if falls >= 0 else high
    for _ in range(_GUESSES):  # the slope is steep near `low`: halving there beats the secant
        middle = (low + high) / 2
        at = slope(middle)
        low, high, falls, rises = (middle, high, at, rises) if at < 0 else (low, middle, falls, at)
    return low - falls * (high - low) / (rises - falls)
