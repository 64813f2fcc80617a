"""The grounded bottleneck on random directions in place of what was learned."""

from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.grounding import Grounding
from curette.tasks.probe.heads import grounded


def fit(draws: Draws) -> Fitted:
    """Draw directions by each draw's seed, turned towards the concept."""
    grounding = draws.images.once(Grounding.of)
    return grounded.fit_on(draws, [grounding.random(seed) for seed in draws.seeds])
