"""Images and concepts are indexed; each concept's images and near-duplicates are looked up.

In:    `ConceptSet` and all vectors.
Out:   `ConceptIndex`.
First: `retrieval.py`; FAISS itself is behind `faiss_index.py`.
"""

from curette.tasks.stage import Stage

STAGE = Stage("index", __doc__, after="priors", settings=("index",), makes="concept-index")
