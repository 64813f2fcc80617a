"""What the verdicts of a judge whose errors are known only from a test are worth.

A judge calls a thing positive with probability s (sensitivity) where it is, and negative with
probability c (specificity) where it is not. Of n things with an unknown share pi of positive ones
it calls positive a share whose expectation is

    q = pi s + (1 - pi) (1 - c),     so that     pi = (q + c - 1) / (s + c - 1)

(Rogan and Gladen, American Journal of Epidemiology 107, 1978), and one thing that it calls positive
is positive with probability pi s / q, one that it calls negative with pi (1 - s) / (1 - q).

Everything unknown has a prior and is told with its posterior (Joseph, Gyorkos and Coupal, American
Journal of Epidemiology 141, 1995): s and c a Beta(1/2, 1/2) each before the test, pi a uniform one.
Given s and c, q is then uniform between 1 - c and s, and after v of n positive verdicts

    p(q | s, c, v) = Beta(v + 1, n - v + 1), cut to that range,
    p(s, c | v)  is proportional to  p(s, c | test) (F(s) - F(1 - c)) / (s + c - 1)

with F that Beta's distribution function. So s and c are drawn after the test and weighted, and q is
drawn exactly: no chain, nothing to tune.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

DRAWS: Final = 10_000
FEWEST: Final = 200
"""Draws that the weights must leave in effect (Kish: (sum w)^2 / sum w^2)."""
JEFFREYS: Final = 0.5

Draws = Float64[np.ndarray, " draw"]


@dataclass(frozen=True)
class Belief:
    """A mean and the 2.5 % and 97.5 % points of a posterior."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Weighed:
    """What the verdicts are worth."""

    share: Belief
    """Of positive things in the pool."""
    if_positive: Belief
    """Probability that a thing is positive that was called so."""
    if_negative: Belief
    """The same of one that was called negative."""


def rogan_gladen(apparent: float, sensitivity: float, specificity: float) -> float | None:
    """Return the share of positive things behind an apparent one, cut to [0, 1].

    None where sensitivity + specificity <= 1: such verdicts say nothing, or the opposite.
    """
    if sensitivity + specificity <= 1:
        return None
    share = (apparent + specificity - 1) / (sensitivity + specificity - 1)
    return min(1.0, max(0.0, share))


def weigh_verdicts(
    positive: int,
    pool: int,
    right_positive: tuple[int, int],
    right_negative: tuple[int, int],
    draws: int = DRAWS,
) -> Weighed | None:
    """Return what a judge's verdicts are worth.

    Args:
        positive: how many of the pool it called positive.
        pool: on how many it gave a verdict.
        right_positive: of positive things of the test: how many it called so, of how many.
        right_negative: the same of negative ones.
        draws: how many sensitivities and specificities are drawn.

    Returns:
        None where its verdicts on the pool do not go with its errors in the test: hardly any
        sensitivity and specificity that the test allows would give them.
    """
    # Every study is read with this module beside it, and scipy takes a quarter of a second.
    from scipy.special import betainc, betaincc, betainccinv, betaincinv

    rng = np.random.default_rng(0)
    s, c = (
        rng.beta(JEFFREYS + right, JEFFREYS + of - right, draws)
        for right, of in (right_positive, right_negative)
    )
    low, high = np.minimum(1 - c, s), np.maximum(1 - c, s)
    a, b = positive + 1, pool - positive + 1  # of the beta distribution of the apparent share
    # From the side where the tail is small, so that small differences of it are not lost.
    upper = low > a / (a + b)
    below = np.where(upper, betaincc(a, b, high), betainc(a, b, low))
    above = np.where(upper, betaincc(a, b, low), betainc(a, b, high))
    width = np.maximum(high - low, 1e-12)
    weights = (above - below) / width
    if not (total := float(weights.sum())) or total**2 / float((weights**2).sum()) < FEWEST:
        return None
    at = below + rng.random(draws) * (above - below)
    q = np.clip(np.where(upper, betainccinv(a, b, at), betaincinv(a, b, at)), low, high)
    q = np.clip(q, 1e-12, 1 - 1e-12)
    share = np.clip(np.where(s > 1 - c, q - low, high - q) / width, 0, 1)
    return Weighed(
        share=_belief(share, weights),
        if_positive=_belief(np.clip(share * s / q, 0, 1), weights),
        if_negative=_belief(np.clip(share * (1 - s) / (1 - q), 0, 1), weights),
    )


def _belief(values: Draws, weights: Draws) -> Belief:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    low, high = (values[order][np.searchsorted(reached, at)] for at in (0.025, 0.975))
    return Belief(float(np.average(values, weights=weights)), float(low), float(high))
