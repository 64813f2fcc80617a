"""The gate of exact duplicates: of statements in the same words, one stays with all their links."""

from typing import Literal

from curette.tasks.screen.duplicates import exact_twins, one_of_each
from curette.tasks.screen.gate import Candidates, Circumstances, Gate, Outcome


class ExactDuplicate(Gate, frozen=True):
    """The settings of the gate: it has none."""

    kind: Literal["exact_duplicate"] = "exact_duplicate"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Keep one of those that say the same in the same words."""
        keys = [label.key for label in known.classes]
        return one_of_each(self.kind, left, exact_twins(left), keys)
