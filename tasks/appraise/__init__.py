"""What a round of selecting is worth on validation images, and which classes it still confuses.

In:    `ConceptSet`, the vectors that it was chosen by, and the `Appraisal` of the round before.
Out:   `Appraisal`.
First: `appraisal.py`.
"""

from curette.tasks.stage import Run, Stage, rounds_from

STAGE = Stage(
    "appraise", __doc__, after="select", makes="appraisal", runs=(Run(rounds=2), *rounds_from(2))
)
"""The stage `appraise`: what a round is worth, and what it leaves to be asked."""
