"""The published concept dataset, laid into a repository of the Hugging Face hub.

In:    `ConceptDataset`, and where it is to go; what the gate rejected was never published.
Out:   `Pushed`: the commit that has it.
First: `hub.py`.
"""

from curette.tasks.stage import Run, Stage

STAGE = Stage(
    "push",
    __doc__,
    after="publish",
    settings=("publish",),
    makes="pushed",
    runs=(Run(only_if="publish.push"),),
)
