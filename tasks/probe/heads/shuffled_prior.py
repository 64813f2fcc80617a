"""The prior's head with signs of wrong concepts: what the right ones are worth."""

from dataclasses import replace

import numpy as np

from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import prior


def fit(draws: Draws) -> Fitted:
    """Give each concept the signs of another one, by the draw's seed."""
    believed = [
        replace(c, signs=c.signs[:, np.random.default_rng(seed).permutation(len(c.rows))])
        for c, seed in zip(draws.concepts, draws.seeds, strict=True)
    ]
    return prior.pull_to(draws, believed)
