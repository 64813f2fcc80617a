"""The concept dataset as others load it: Parquet files and a card that says what they are.

In:    `ValidatedConceptDataset`, and `Annotations` where there are some.
Out:   `ConceptDataset`.
First: `assembly.py`; the card is written by `dataset_card.py`.
"""

from curette.tasks.stage import Stage

STAGE = Stage("publish", __doc__, after="annotate", settings=("publish",), makes="concept-dataset")
