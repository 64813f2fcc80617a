"""Images are read, checked and split; test labels and reports are set apart.

In:    the source that the study names; for another dataset, the study's own `ImageDataset` beside
       it.
Out:   `ImageDataset`, `TestLabels` and, where there are some, `Reports`.
First: `dataset.py`; each kind of source is read in `readers.py`.
"""

from curette.tasks.stage import Stage

STAGE = Stage("ingest", __doc__, settings=("dataset",), makes="image-dataset")
