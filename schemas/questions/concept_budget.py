"""How good few statements are, and how many random ones are needed for the same."""

from typing import Literal

from pydantic import BaseModel, Field

from curette.schemas.metrics import Estimate


class BudgetPoint(BaseModel, frozen=True):
    """So many concepts, the mean over draws where chance has a part."""

    concepts: int
    balanced_accuracy: Estimate
    macro_auroc: float | None = Field(description="nothing where a class has no test image")
    lowest: float = Field(description="balanced accuracy that 5 % of the draws stay below")
    highest: float = Field(description="balanced accuracy that 5 % of the draws exceed")


class BudgetLine(BaseModel, frozen=True):
    """One way of choosing, from few to many."""

    name: Literal["selected", "labo", "random", "random directions", "all"]
    draws: int
    points: tuple[BudgetPoint, ...]


AS_WELL = 0.05
"""How far below in balanced accuracy the interval of a difference may reach in "as well as"."""


class ConceptBudget(BaseModel, frozen=True):
    """How good few statements are, by the same small head at every number of them."""

    chosen: int = Field(description="as many as the study selected, without a look at these images")
    lines: tuple[BudgetLine, ...]
    black_box: Estimate | None = Field(description="balanced accuracy of the linear probe")
    lead_over_black_box: Estimate | None = Field(description="of the chosen number")
    lead_over_random: Estimate | None = Field(description="of as many drawn at random")
    area_over_random: Estimate | None = Field(
        description="mean lead in balanced accuracy over all sizes, on a logarithmic scale"
    )
    area_over_labo: Estimate | None

    def line(self, name: str) -> BudgetLine:
        """Return the line of a way of choosing."""
        return next(line for line in self.lines if line.name == name)

    @property
    def reached(self) -> Estimate | None:
        """Balanced accuracy of the chosen number."""
        points = [p for p in self.line("selected").points if p.concepts == self.chosen]
        return points[0].balanced_accuracy if points else None

    @property
    def random_needs(self) -> int | None:
        """The smallest number of random statements that does as well on average; None: none."""
        if self.reached is None:
            return None
        least = self.reached.value
        enough = (
            point.concepts
            for name in ("random", "all")
            for line in self.lines
            if line.name == name
            for point in line.points
            if point.balanced_accuracy.value >= least
        )
        return next(enough, None)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the curve comes to: against the black box first, then against random statements.

        That no difference was found is not equality: "as well as" needs an interval that leaves
        less than `AS_WELL` below.
        """
        lead, reached, box = self.lead_over_black_box, self.reached, self.black_box
        if lead is None or reached is None or box is None:
            return ("These images cannot tell how many statements are needed.",)
        verdict = _first(
            ("decide better than {}", lead.low > 0),
            ("decide less well than {}", lead.high < 0),
            ("decide as well as {}", lead.low > -AS_WELL),
            ("may decide as well as {}; there are too few images to be sure", True),
        )
        count = f"{self.chosen} statement{'s' * (self.chosen > 1)}"
        against = (
            f"{count} {verdict.format('a linear probe on whole images')}: balanced accuracy "
            f"{_told(reached)} against {_told(box)}, a difference of {_told(lead, '+.3f')}."
        )
        return (against, *self._against_random())

    def _against_random(self) -> tuple[str, ...]:
        lead, reached = self.lead_over_random, self.reached
        if lead is None or reached is None:
            return ()
        verdict = _first(
            ("so choosing them helps", lead.low > 0),
            ("so choosing them does harm", lead.high < 0),
            ("so nothing shows that choosing them helps", True),
        )
        needs = self.random_needs
        need = _first(
            ("; no number of random ones does as well", needs is None),
            ("", (needs or 0) <= self.chosen),
            (f"; it takes {needs} random ones to do as well", True),
        )
        return (
            f"As many drawn at random reach {reached.value - lead.value:.3f} "
            f"(a difference of {_told(lead, '+.3f')}), {verdict}{need}.",
        )


def _first(*cases: tuple[str, bool]) -> str:
    return next(words for words, holds in cases if holds)


def _told(e: Estimate, form: str = ".3f") -> str:
    return f"{e.value:{form}} [{e.low:{form}}, {e.high:{form}}]"
