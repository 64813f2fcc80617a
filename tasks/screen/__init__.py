"""Candidates that leak a class, cannot be seen or repeat each other are dropped, with reasons.

In:    `CandidateSet`, the vectors of its texts, and training images for some gates.
Out:   `ScreenedSet`, what was dropped included.
First: `screening.py`; each gate is a file of its own in `gates/`.
"""

from curette.tasks.stage import Run, Stage, rounds_from

STAGE = Stage(
    "screen",
    __doc__,
    after="embed_texts",
    settings=("screen", "llm"),
    makes="screened",
    runs=(Run(), *rounds_from(2)),
)
