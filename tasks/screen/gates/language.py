"""The language gate: is this English, in Latin script?

Every other gate reads English words; a statement in another language would pass or fail by chance.
"""

from typing import Literal

from curette.schemas.candidates import Candidate
from curette.tasks.methods.language import why_not_english
from curette.tasks.screen.gate import Candidates, Circumstances, Finding, Gate, Outcome, one_by_one


class Language(Gate, frozen=True):
    """The settings of the gate: it has none."""

    kind: Literal["language"] = "language"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:  # noqa: ARG002
        """Drop what is not English."""

        def find(candidate: Candidate) -> Finding | None:
            found = why_not_english(candidate.text)
            return Finding(*found) if found else None

        return one_by_one(self.kind, left, find)
