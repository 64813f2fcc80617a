"""The bottleneck on as many concepts drawn at random: what selection is worth."""

from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import concept_bottleneck


def fit(draws: Draws) -> Fitted:
    """Train it on concepts that each draw's seed alone chose."""
    return concept_bottleneck.fit(draws.random)
