"""Heads are measured on test images, once; nothing else loads test labels.

In:    `Heads` of every protocol, `HeatMaps`, other datasets, and `TestLabels`.
Out:   `Evaluation`, or `GuardedEvaluation` behind a reusable holdout.
First: `evaluation.py`.
"""

from curette.tasks.stage import Stage

STAGE = Stage(
    "evaluate", __doc__, after="locate", settings=("evaluate", "external"), makes="evaluation"
)
