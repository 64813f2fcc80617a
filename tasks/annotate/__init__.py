"""A model reads in the images' reports, or sees in the images, which concepts are there.

In:    `ValidatedConceptDataset`; `Reports`, which nothing else loads, or the images.
Out:   `Annotations`.
First: `annotations.py`; `asking.py` asks; `looking.py` has the control pictures.
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
