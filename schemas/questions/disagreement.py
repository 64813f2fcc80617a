"""Where the concept bottleneck and the linear probe decide differently."""

from pydantic import AliasChoices, BaseModel, Field


class DisagreeingImage(BaseModel, frozen=True):
    """One test image on which two heads decide differently."""

    image_id: str
    label: str
    first: str = Field(description="class key that the first head says")
    first_probability: float
    second: str
    second_probability: float


class Disagreement(BaseModel, frozen=True, populate_by_name=True):
    """Where two heads part, and whether one of them is right more often there."""

    first: str
    second: str
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong_alike: int
    both_wrong_apart: int
    p_value: float = Field(description="exact McNemar test over independent groups")
    examples: tuple[DisagreeingImage, ...] = Field(
        description="images, the surest of both heads first",
        validation_alias=AliasChoices("examples", "quarrels"),  # as it was written once
    )
