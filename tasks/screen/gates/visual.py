"""The visual gate: does a statement say something that an image can show?

What can be shown is in `methods.wording.visible`.
"""

from typing import ClassVar, Literal

from curette.schemas.candidates import Candidate
from curette.tasks.methods.wording.visible import what_is_outweighed, why_not_visual
from curette.tasks.screen.gate import (
    Candidates,
    Circumstances,
    Doubt,
    Finding,
    Gate,
    Outcome,
    one_by_one,
)


class Visual(Gate, frozen=True):
    """The settings of the gate: it has none."""

    about_names: ClassVar[bool] = True

    kind: Literal["visual"] = "visual"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:  # noqa: ARG002
        """Drop what no image shows; doubt what also speaks of something else."""
        return one_by_one(self.kind, left, _finding, _doubt)


def _finding(candidate: Candidate) -> Finding | None:
    why = why_not_visual(candidate.text)
    if not why:
        return None
    by = ": " + ", ".join(f"'{w}'" for w in why.words) if why.words else ""
    return Finding(
        f"{why.meaning}{by}",
        {"category": why.category, "words": [*why.words], "visible": [*why.visible]},
    )


def _doubt(candidate: Candidate) -> Doubt | None:
    why = what_is_outweighed(candidate.text)
    if not why:
        return None
    return Doubt(0.5, f"{why.meaning} ('{why.words[0]}') as well as of '{why.visible[0]}'")
