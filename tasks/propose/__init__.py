"""Candidate concepts are collected from a language model, documents, records and files.

In:    `ImageDataset` for the names of classes; `ImageEmbeddings` where look-alikes are contrasted.
Out:   `CandidateSet`.
First: `candidates.py`; what is asked is in `prompts/`.
"""

from curette.tasks.stage import Run, Stage, rounds_from

STAGE = Stage(
    "propose",
    __doc__,
    after="embed",
    settings=("propose", "llm"),
    makes="candidates",
    runs=(Run(), *rounds_from(2)),
)
