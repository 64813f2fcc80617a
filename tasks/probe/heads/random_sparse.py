"""Sparse heads on as many concepts drawn at random, at each number of effective concepts alone."""

from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import sparse


def at_nec(draws: Draws, which: int, nec: int) -> Fitted:
    """Return one draw's head on the concepts that its seed alone chose."""
    return sparse.at_nec(draws.random, which, nec)
