"""A language model reads in the images' reports which concepts are there.

In:    `ValidatedConceptDataset`, and `Reports`, which nothing else loads.
Out:   `Annotations`.
First: `annotations.py`; `asking.py` asks.
"""

from curette.tasks.stage import Run, Stage

STAGE = Stage(
    "annotate",
    __doc__,
    after="validate",
    settings=("annotate", "propose", "llm"),
    makes="annotations",
    runs=(Run(only_if="annotate"),),
)
