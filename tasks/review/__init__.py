"""A person's decisions are applied to the screened concepts.

In:    `ScreenedSet` and `Decisions`.
Out:   `ScreenedSet`; the same where the study has no review.
First: `decisions.py`; `sheet.py` and `form.py` ask for them.
"""

from curette.tasks.stage import Run, Stage, rounds_from

STAGE = Stage(
    "review",
    __doc__,
    after="screen",
    settings=("review",),
    makes="screened",
    runs=(Run(), *rounds_from(2)),
)
