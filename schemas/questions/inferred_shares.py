"""What heads give away about their training images."""

from typing import Literal

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate

ReadFrom = Literal["weights", "answers"]


class GuessedShare(BaseModel, frozen=True):
    """How well somebody guesses what share of the training images had a property.

    Each is the mean over deals of the groups to owner and adversary, with the range that holds
    95 % of them.
    """

    auroc: Estimate = Field(description="of telling heads of the largest share from the smallest")
    accuracy: Estimate = Field(description="of the same, by the nearer of the two")
    error: Estimate = Field(description="mean distance of the guessed share from the true one")


class InferredShare(BaseModel, frozen=True):
    """What one kind of head gives away of one property."""

    column: str
    value: str = Field(description="of the column: the property")
    head: str
    head_kind: HeadKind
    read_from: ReadFrom
    images: int = Field(description="that each head was trained on, in the last deal")
    published: GuessedShare = Field(description="from heads on vectors as they are published")
    erased: GuessedShare = Field(description="the same once `publish.erase` took the column out")
    dealt: GuessedShare = Field(description="the same of a property dealt to images at random")

    @property
    def is_told(self) -> bool:
        """Whether more than chance is guessed in nearly every deal."""
        return self.published.auroc.low > 0.5


class InferredShares(BaseModel, frozen=True):
    """What heads like the study's own give away of the images that they were trained on."""

    deals: int = Field(description="of the groups to owner, adversary and questions")
    shares: tuple[float, ...] = Field(description="of the property, drawn for as many heads each")
    heads: int = Field(description="of each party and deal")
    error_of_prior: float = Field(description="of whoever always guesses the mean share")
    found: tuple[InferredShare, ...] = ()
    not_computable: dict[str, str] = Field(default_factory=dict, description="column -> why not")
