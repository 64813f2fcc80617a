"""What chosen concepts are worth on validation images, round after round, and what they confuse."""

from typing import ClassVar, Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.llm import Usage


class ConfusedPair(BaseModel, frozen=True):
    """Two classes of which validation images of one were taken for the other."""

    first: str = Field(description="class key; the earlier of the two in the dataset's order")
    second: str
    first_as_second: int = Field(ge=0, description="images of the first taken for the second")
    second_as_first: int = Field(ge=0)
    groups: int = Field(ge=1, description="independent groups that these images are of")
    rate: float = Field(
        gt=0, le=1, description="share of a class's images taken for the other, mean of both"
    )


class Round(BaseModel, frozen=True):
    """What one round of proposing, screening and selecting came to."""

    number: int = Field(ge=1)
    about: tuple[tuple[str, str], ...] = Field(
        description="pairs of class keys that were asked about; empty in the first round"
    )
    proposed: int = Field(description="statements that no earlier round had")
    screened: int = Field(description="of these, let through by the screen")
    chosen: int = Field(description="of these, selected")
    concepts: tuple[str, ...] = Field(description="ids of all selected concepts")
    usage: Usage = Field(description="what the language model was asked in this round's proposing")
    accuracy: float = Field(description="balanced, on validation images")
    loss: float = Field(description="squared distance of the answer from the truth; classes alike")
    gain: float | None = Field(
        default=None, description="by how much less is lost than in the round before; empty: first"
    )
    standard_error: float | None = Field(default=None, description="of the gain, over groups")
    kept: bool = Field(description="whether it is the first, or gains more than a standard error")


class Appraisal(JsonArtifact, frozen=True):
    """What the rounds so far are worth on validation images, and what the last one confuses.

    The head is the small one of the selection, trained on training images alone.
    """

    kind: ClassVar[str] = "appraisal"

    rounds: tuple[Round, ...] = Field(min_length=1)
    pairs: tuple[ConfusedPair, ...] = Field(description="most often confused first")
    statements: tuple[str, ...] = Field(description="texts of the last round's concepts")
    images: int = Field(description="of the validation split")
    groups: int
    losses: tuple[float, ...] = Field(
        description="the last round's, one an image that was learned from (0) or asked about"
    )

    @model_validator(mode="after")
    def _counts_up(self) -> Self:
        if [r.number for r in self.rounds] != list(range(1, len(self.rounds) + 1)):
            raise ValueError("rounds are counted from 1, and none is left out")
        return self

    @property
    def last(self) -> Round:
        """The last round."""
        return self.rounds[-1]
