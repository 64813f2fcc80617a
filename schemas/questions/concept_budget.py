"""How good few statements are, and how many random ones are needed for the same."""

from typing import Literal

from pydantic import BaseModel, Field

from curette.schemas.metrics import Estimate


class BudgetPoint(BaseModel, frozen=True):
    """So many concepts, the mean over draws where chance has a part."""

    concepts: int
    balanced_accuracy: Estimate
    lowest: float = Field(description="balanced accuracy that 5 % of the draws stay below")
    highest: float = Field(description="balanced accuracy that 5 % of the draws exceed")


class BudgetLine(BaseModel, frozen=True):
    """One way of choosing, from few to many."""

    name: Literal["selected", "labo", "random", "random directions", "all"]
    draws: int
    points: tuple[BudgetPoint, ...]


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
