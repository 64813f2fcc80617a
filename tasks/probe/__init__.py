"""Heads are trained, with their baselines; everything is chosen on validation images.

In:    `ConceptDataset`; where the images are not all of it, `Draws`, and what all images trained;
       where directions are borrowed, a `Lender`: another study's images and their vectors.
Out:   `Heads`.
First: `draws.py`, then `training.py`; `heads/` has a file for each kind.
"""

from curette.schemas.heads import DRAWN
from curette.tasks.stage import Run, Stage

_FORMERLY = {"few shots": "few_shot_heads", "shifts": "shift_heads"}

STAGE = Stage(
    "probe",
    __doc__,
    after="publish",
    settings=("probe",),
    makes="heads",
    runs=(
        Run(),
        *(
            Run(protocol, only_if=part, on_test=True, formerly=_FORMERLY.get(protocol, ""))
            for protocol, part in DRAWN.items()
        ),
    ),
)
