"""The gate of near-duplicates: of statements that are nearly the same, one stays."""

from typing import Literal

from pydantic import Field

from curette.tasks.screen.duplicates import near_twins, one_of_each
from curette.tasks.screen.gate import Candidates, Circumstances, Gate, Outcome

_ALMOST = 0.01
"""Cosine below the threshold within which a kept concept is nearly a duplicate."""


class NearDuplicate(Gate, frozen=True):
    """The settings of the gate."""

    kind: Literal["near_duplicate"] = "near_duplicate"
    cosine: float = Field(
        default=0.95, gt=0, le=1, description="text vectors at least this alike are duplicates"
    )

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Keep one of those whose vectors are nearly the same."""
        keys = [label.key for label in known.classes]
        almost = max(self.cosine - _ALMOST, 1e-6)
        return one_of_each(
            self.kind,
            left,
            near_twins(left, known.vectors(left), self.cosine),
            keys,
            lambda kept: near_twins(kept, known.vectors(kept), almost),
        )
