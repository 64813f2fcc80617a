"""The gate of same words: of statements that say the same in the same words, one stays."""

from typing import ClassVar, Literal

from curette.tasks.screen.duplicates import Twin, one_of_each, preferred, twins_of
from curette.tasks.screen.gate import Candidates, Circumstances, Gate, Outcome
from curette.tasks.screen.wording import plain_form, without_template


class ExactDuplicate(Gate, frozen=True):
    """The settings of the gate: it has none."""

    merges: ClassVar[bool] = True

    kind: Literal["exact_duplicate"] = "exact_duplicate"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Keep one of those that have the same plain form, with all their links."""
        texts = without_template([c.text for c in left], [c.text for c in known.proposed])
        twins = twins_of([plain_form(text) for text in texts], preferred(left))
        return one_of_each(
            self.kind,
            left,
            {
                place: Twin(kept, "says the same as", {"same": "words"})
                for place, kept in twins.items()
            },
            [label.key for label in known.classes],
        )
