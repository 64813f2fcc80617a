"""What is believed of every concept and class before any image is looked at.

In:    `ScreenedSet`, and what the language model has cost so far.
Out:   `Priors`.
First: `priors.py`; `asking.py` asks a language model, `files.py` reads what others found.
"""

from curette.tasks.stage import Stage

STAGE = Stage(
    "priors",
    __doc__,
    after="select",
    settings=("priors", "propose", "llm"),
    makes="priors",
)
