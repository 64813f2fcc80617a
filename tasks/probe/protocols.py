"""How heads are trained on what was drawn: on each draw alone, if no line here says otherwise."""

from collections.abc import Callable

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draws
from curette.schemas.heads import Protocol
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe import each_draw, few_shots

ANOTHER_WAY: dict[Protocol, Callable[[ConceptDataset, Draws, ProbeSpec, Heads | None], Heads]] = {
    "few shots": few_shots.train,
}


def train_on_draws(
    published: ConceptDataset, draws: Draws, spec: ProbeSpec, trained: Heads | None = None
) -> Heads:
    """Train the heads that are asked for on every draw; what is chosen validation images choose.

    Args:
        published: its training and validation images are drawn from.
        draws: images and concepts of each draw.
        spec: how heads are trained, as they are with all images.
        trained: the heads that all images trained by these settings, so that they need not be
            trained again; None: they are.

    Raises:
        StudyError: a split is empty.
        ValueError: a draw lacks a class.
    """
    if draws.protocol in ANOTHER_WAY:
        return ANOTHER_WAY[draws.protocol](published, draws, spec, trained)
    return each_draw.train(published, draws, spec)
