"""Heads are trained, with their baselines; everything is chosen on validation images.

In:    `ConceptDataset`; for few shots and shifts, what `draw` made.
Out:   `Probe`, `FewShotHeads` and `ShiftHeads`.
First: `draws.py`, then `training.py`; `heads/` has a file for each kind.
"""

from curette.tasks.stage import Run, Stage

STAGE = Stage("probe", __doc__, after="publish", settings=("probe",), makes="probe")
FEW_SHOT_HEADS = Stage(
    "few_shot_heads",
    "The heads of every few-shot draw are trained.",
    after="few_shots",
    settings=("few_shots", "probe"),
    makes="few-shot-heads",
    runs=(Run(only_if="few_shots", on_test=True),),
    folder="probe",
)
SHIFT_HEADS = Stage(
    "shift_heads",
    "The heads of every shift are trained.",
    after="shifts",
    settings=("probe",),
    makes="shift-heads",
    runs=(Run(only_if="shifts", on_test=True),),
    folder="probe",
)
