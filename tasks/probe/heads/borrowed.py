"""The bottleneck on directions that another study's labelled images taught."""

from curette.tasks.probe.borrowing import Borrowing
from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import grounded


def fit(draws: Draws) -> Fitted:
    """Train it on borrowed directions where there are any, elsewhere on text.

    They never saw an image of this study, so that scores of training images flatter nobody.
    """
    return grounded.fit_on(draws, [draws.images.once(Borrowing.of).learned])
