"""Which training images heads are given: few of each class, or those that a shift leaves.

In:    `ConceptDataset`.
Out:   `FewShotDraws` and `ShiftSplits`, with the concepts that each draw selects by itself.
First: `few_shots.py` and `shifts.py`.
"""

from curette.tasks.stage import Run, Stage

FEW_SHOTS = Stage(
    "few_shots",
    "Few images a class are drawn, again and again; each draw selects concepts for itself.",
    after="probe",
    settings=("select", "few_shots"),
    makes="few-shot-draws",
    runs=(Run(only_if="few_shots", on_test=True),),
    folder="draw",
)
SHIFTS = Stage(
    "shifts",
    "Each shift's training and validation images are told apart from those it is tested on.",
    after="few_shot_heads",
    settings=("select", "shifts"),
    makes="shift-splits",
    runs=(Run(only_if="shifts", on_test=True),),
    folder="draw",
)
