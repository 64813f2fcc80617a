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
has one and the best is kept. Candidates that cost c_j are bounded at t = 1 by the k largest of
|z_j'B|^2 / rho - c_j. The bound holds for all sets of k, also those that a rule forbids.
"""

import numpy as np
from jaxtyping import Float64, Int
from scipy.linalg import cho_factor, cho_solve

from curette.tasks.methods.selection.explained_variance import ClassVariance

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
    size = len(picks) if count is None else count
    if size == 0:
        return 0.0
    directions, targets, free = problem.directions, problem.targets, not problem.costs.any()
    total = float((targets**2).sum())
    unit = np.eye(directions.shape[1])
    system = unit + _outer(directions[picks]) / problem.ridge
    cost = float(problem.costs[picks].sum())
    least, misses = np.inf, 0
    for _ in range(steps):
        dual = cho_solve(cho_factor(system), targets)
        worth = ((directions @ dual) ** 2).sum(axis=1) / problem.ridge - problem.costs
        best = np.argpartition(-worth, size - 1)[:size] if size < len(worth) else np.arange(size)
        reached, length = float((dual * targets).sum()), float((dual**2).sum())
        most = length + float(worth[best].sum())
        # With costs the scale of B is left as it is: B may then stand for a set that costs less.
        bound = total - (reached**2 / most if free else 2 * reached - most)
        misses = misses + 1 if bound > least - _WORTHLESS * abs(least) else 0
        least = min(least, bound)
        if misses == _MISSES:
            break
        change = unit + _outer(directions[best]) / problem.ridge - system
        dearer = float(problem.costs[best].sum()) - cost
        stride = _stride(system, change, targets, dearer)
        system = system + stride * change
        cost += stride * dearer
    return max(least, problem.value(picks))


def _outer(
    rows: Float64[np.ndarray, "row direction"],
) -> Float64[np.ndarray, "direction direction"]:
    return rows.T @ rows


def _stride(
    system: Float64[np.ndarray, "direction direction"],
    change: Float64[np.ndarray, "direction direction"],
    targets: Float64[np.ndarray, "direction class"],
    dearer: float,
) -> float:
    """Seek the least c(s) + cost between the two systems, where its slope is 0: it is convex."""

    def slope(stride: float) -> float:
        dual = cho_solve(cho_factor(system + stride * change), targets)
        return dearer - float((dual * (change @ dual)).sum())

    low, high = 0.0, 1.0
    falls, rises = slope(low), slope(high)
    if falls >= 0 or rises <= 0:
        return low if falls >= 0 else high
    for _ in range(_GUESSES):  # the slope is steep near `low`: halving there beats the secant
        middle = (low + high) / 2
        at = slope(middle)
        low, high, falls, rises = (middle, high, at, rises) if at < 0 else (low, middle, falls, at)
    return low - falls * (high - low) / (rises - falls)
