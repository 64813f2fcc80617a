"""Which images heads are given where these are not all: few of each class, or what a shift leaves.

In:    `ConceptDataset`, and which protocol draws.
Out:   `Draws`: images, and the concepts that each draw selects by itself; no test image.
First: `protocols.py`, then the file of a protocol's name.
"""

from curette.schemas.heads import DRAWN
from curette.tasks.stage import Run, Stage

STAGE = Stage(
    "draw",
    __doc__,
    after="publish",
    settings=("select", *DRAWN.values()),
    makes="draws",
    runs=tuple(
        Run(protocol, only_if=part, on_test=True, formerly=part) for protocol, part in DRAWN.items()
    ),
)
