"""One unit vector an image, none made twice.

In:    `ImageDataset`, and the encoder that the study names.
Out:   `ImageEmbeddings`.
First: `embedding.py`; `on_ray.py` does the same on a cluster.
"""

from curette.tasks.stage import Stage

IMAGES_STAGE = Stage(
    "embed", __doc__, after="ingest", settings=("encoder",), makes="image-embeddings"
)
TEXTS_STAGE = Stage(
    "embed_texts",
    "One unit vector a candidate and a class name, none made twice.",
    after="propose",
    settings=("encoder",),
    makes="embeddings",
    folder="embed",
)
