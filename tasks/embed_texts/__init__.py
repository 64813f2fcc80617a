"""One unit vector a candidate and a class name, none made twice.

In:    `CandidateSet`, what a reviewer reworded, and the classes of `ImageDataset`.
Out:   `StudyEmbeddings`: the texts' vectors beside those of the images.
First: `task.py`, then `methods/encoder/text_vectors.py`, and `recall.py` there for the shelf.
"""

from curette.tasks.stage import Run, Stage, rounds_from

STAGE = Stage(
    "embed_texts",
    __doc__,
    after="propose",
    settings=("encoder",),
    makes="embeddings",
    runs=(Run(), *rounds_from(2)),
)
