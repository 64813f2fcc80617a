"""Concepts are chosen together, as many as are enough, from training images.

In:    `ScreenedSet` and the vectors of its texts and of training images; validation images only say
       how many are enough and what could be exchanged.
Out:   `ConceptSet`, the picks with their certificate, the curve over sizes, exchanges, stability.
First: `task.py`; the choice itself is `methods/selection/choosing.py`, which few shots, shifts and
       the evaluation share.
"""

from curette.tasks.stage import Run, Stage, rounds_from

STAGE = Stage(
    "select",
    __doc__,
    after="review",
    settings=("select",),
    makes="concepts",
    runs=(Run(), *rounds_from(2)),
)
