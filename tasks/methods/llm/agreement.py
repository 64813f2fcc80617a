"""How far answers to the same question agree beyond chance: Fleiss' and Cohen's kappa."""

import numpy as np
from jaxtyping import Int


def fleiss_kappa(counts: Int[np.ndarray, "subject category"]) -> float | None:
    """Return how far votes on the same subjects agree beyond chance.

    With n_ij votes for category j on subject i, and n votes on each of N subjects,

        P_i   = (sum_j n_ij^2 - n) / (n (n - 1))     agreeing pairs of votes on subject i
        p_j   = sum_i n_ij / (N n)                   share of category j in all votes
        kappa = (mean_i P_i - sum_j p_j^2) / (1 - sum_j p_j^2)

    1 where all votes agree, about 0 where they agree as often as chance would have it, below 0
    where they agree less. The votes of a subject need not come from the same raters as those of
    another. Source: Fleiss, Psychological Bulletin 76(5), 1971.

    Args:
        counts: votes for each category on each subject; every row has the same sum.

    Returns:
        Kappa, or None where it is undefined: no subjects, fewer than two votes on each, or all
        votes for one category.

    Raises:
        ValueError: subjects differ in their number of votes.
    """
    votes = counts.sum(axis=1)
    if len(votes) == 0 or votes.max() < 2:
        return None
    n = int(votes[0])
    if (votes != n).any():
        raise ValueError(
            f"each subject needs the same number of votes; they have {votes.min()} to {votes.max()}"
        )
    observed = float(((counts.astype(np.float64) ** 2).sum(axis=1) - n).mean() / (n * (n - 1)))
    shares = counts.sum(axis=0) / (len(counts) * n)
    return _beyond_chance(observed, float((shares**2).sum()))


def cohen_kappa(first: Int[np.ndarray, " item"], second: Int[np.ndarray, " item"]) -> float | None:
    """Return how far two raters' categories for the same items agree beyond chance.

    kappa = (p_o - p_e) / (1 - p_e), where p_o is the share of items on which both agree and
    p_e = sum_k first_k second_k the agreement expected from each rater's share of category k.
    Source: Cohen, Educational and Psychological Measurement 20(1), 1960.

    Returns:
        Kappa, or None where it is undefined: no items, or both always gave the same category.
    """
    if len(first) == 0:
        return None
    categories = np.union1d(first, second)[:, None]
    expected = float(
        ((first == categories).mean(axis=1) * (second == categories).mean(axis=1)).sum()
    )
    return _beyond_chance(float((first == second).mean()), expected)


def _beyond_chance(observed: float, expected: float) -> float | None:
    return None if expected > 1 - 1e-12 else (observed - expected) / (1 - expected)
