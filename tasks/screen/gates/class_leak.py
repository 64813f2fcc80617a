"""The leak gate: does a statement give a class's name away?

What does is in `methods.wording.class_names`.
"""

from typing import ClassVar, Literal

from curette.schemas.candidates import Candidate
from curette.tasks.methods.wording.class_names import find_leak, read_class_names
from curette.tasks.screen.gate import Candidates, Circumstances, Finding, Gate, Outcome, one_by_one


class ClassLeak(Gate, frozen=True):
    """The settings of the gate: it has none."""

    about_names: ClassVar[bool] = True

    kind: Literal["class_leak"] = "class_leak"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Drop what gives a class of the study away."""
        names = read_class_names(known.classes)

        def rule(candidate: Candidate) -> Finding | None:
            leak = find_leak(candidate.text, names)
            if not leak:
                return None
            return Finding(
                f"gives the class '{leak.name}' away by '{leak.words}'",
                {"class": leak.class_key, "name": leak.name, "words": [leak.words]},
            )

        return one_by_one(self.kind, left, rule)
