"""One unit vector an image, none made twice.

In:    `ImageDataset`, and the encoder that the study names.
Out:   `ImageEmbeddings`.
First: `embedding.py`; `on_ray.py` does the same on a cluster.
"""

from curette.tasks.stage import Stage

STAGE = Stage("embed", __doc__, after="ingest", settings=("encoder",), makes="image-embeddings")
