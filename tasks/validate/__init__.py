"""Nothing unchecked is published: the gate.

In:    everything that belongs to a concept dataset.
Out:   `ValidatedConceptDataset` where all that must hold does, and its `ValidationReport`.
First: `gate.py`; what must hold is in `expectations.py`.
"""

from curette.tasks.stage import Stage

STAGE = Stage(
    "validate",
    __doc__,
    after="index",
    settings=("validation",),
    makes="validated-concept-dataset",
)
