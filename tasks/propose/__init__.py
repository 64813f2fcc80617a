"""Candidate concepts are collected from a language model, documents, records and files.

In:    `ImageDataset` for the names of classes, and its training images where they are described;
       `ImageEmbeddings` where look-alikes are contrasted or concepts are found among images.
Out:   `CandidateSet`.
First: `candidates.py`; what is asked is in `prompts/`.
"""

from curette.tasks.stage import Run, Stage, rounds_from

STAGE = Stage(
    "propose",
    __doc__,
    after="embed",
    settings=("propose", "llm", "encoder"),
    makes="candidates",
    runs=(Run(), *rounds_from(2)),
)
