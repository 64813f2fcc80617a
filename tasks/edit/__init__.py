"""Trained heads, with what a person changed in them.

In:    `Heads`, `ConceptDataset`, and the `Edits` that are a study's now; no image's label.
Out:   `Heads`: every head that weighs an edited concept, edited, and beside it the concept
       bottleneck as it was. Without edits the same `Heads`.
First: `heads.py`; the arithmetic is in `methods/editing.py`, `proposals.py` has what is worth it.
"""

from curette.tasks.stage import Stage

STAGE = Stage("edit", __doc__, after="probe", makes="heads")
