"""The bottleneck on borrowed directions with random ones in their places."""

from curette.tasks.probe.borrowing import Borrowing
from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import grounded


def fit(draws: Draws) -> Fitted:
    """Draw directions by each draw's seed, turned towards the concept in the other study."""
    borrowing = draws.images.once(Borrowing.of)
    return grounded.fit_on(draws, [borrowing.random(seed) for seed in draws.seeds])
