"""The learnability flag: does a concept rank the images of its own attribute first?

Where an attribute of the data has a concept's name, the concept's scores can be held against it. A
concept that ranks it badly is let through with a warning: the encoder does not see what it says.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from curette.schemas.screened import Flag
from curette.tasks.methods.statistics.average_precision import normalised_average_precision
from curette.tasks.screen.gate import Candidates, Circumstances, Gate, Outcome
from curette.tasks.screen.wording import plain_form


class Learnability(Gate, frozen=True):
    """The settings of the gate."""

    needs_images: ClassVar[bool] = True

    kind: Literal["learnability"] = "learnability"
    min_normalised_ap: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a concept that ranks its own attribute worse is flagged",
    )

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Flag concepts that rank the attribute of their own name badly."""
        images = known.training_images(self.kind)
        truths = {form: truth for form, truth in images.truths.items() if truth.present.any()}
        named = tuple(c for c in left if plain_form(c.text) in truths)
        if not named:
            return Outcome(left)
        flags = []
        scores = images.vectors @ known.vectors(named).T
        for candidate, score in zip(named, scores.T, strict=True):
            truth = truths[plain_form(candidate.text)]
            shown = truth.present[truth.known]
            usual = len(shown) / images.classes
            (precision,) = normalised_average_precision(
                score[truth.known], shown, usual, np.ones((1, len(shown)))
            )
            if precision < self.min_normalised_ap:
                flags.append(
                    Flag(
                        gate=self.kind,
                        concept_ids=(candidate.concept_id,),
                        warning=f"'{candidate.text}' ranks the images of its attribute badly: "
                        f"normalised average precision {precision:.2f}, below "
                        f"{self.min_normalised_ap:.2f}",
                        evidence={
                            "normalised_ap": round(float(precision), 4),
                            "share_shown": round(float(shown.mean()), 4),
                        },
                    )
                )
        return Outcome(left, flags=tuple(flags))
