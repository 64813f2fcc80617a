"""Trained heads, with what a person changed in them.

In:    `Probe`, `ConceptDataset`, and the `Edits` that are a study's now; no image's label.
Out:   `Probe`: every head that weighs an edited concept, edited, and beside it the concept
       bottleneck as it was. Without edits the same `Probe`.
First: `heads.py`; the arithmetic is in `methods/editing.py`.
"""

from curette.tasks.stage import Stage

STAGE = Stage("edit", __doc__, after="probe", makes="probe")
