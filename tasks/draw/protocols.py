"""Every way of drawing images: one file and one line each, and a name in `schemas/heads.py`.

`draw(published, select, spec)` says which training and validation images heads are given, and which
concepts these alone select. Heads are trained on each draw as on all images; a protocol that needs
another way has a file of its name in `tasks/probe/` too.
"""

from collections.abc import Callable
from typing import Any

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draws
from curette.schemas.heads import Protocol
from curette.schemas.settings.select import SelectSpec
from curette.tasks.draw import few_shots, folds, shifts, sizes

PROTOCOLS: dict[Protocol, Callable[[ConceptDataset, SelectSpec, Any], Draws]] = {
    "few shots": few_shots.draw,
    "shifts": shifts.draw,
    "folds": folds.draw,
    "sizes": sizes.draw,
}
"""The last argument is the part of the study that asks for the protocol."""
