"""What each round of proposing added."""

from pydantic import BaseModel, Field

from curette.schemas.metrics import Estimate


class RoundOnTest(BaseModel, frozen=True):
    """What the concepts of one round of proposing are worth on test images."""

    number: int
    balanced_accuracy: Estimate | None = Field(description="of the small head on their scores")
    gain: Estimate | None = Field(description="over the round before; nothing in the first")
