"""Why the concept bottleneck decides single images as it does."""

from pydantic import BaseModel, Field


class Contribution(BaseModel, frozen=True):
    """What one concept said in one decision."""

    concept_id: str
    text: str
    score: float = Field(description="cosine of image and concept")
    contribution: float = Field(description="what it adds to the predicted class's logit")


class Explanation(BaseModel, frozen=True):
    """One test image taken apart: contributions + rest + baseline = logit."""

    image_id: str
    label: str
    predicted: str
    probability: float
    logit: float
    baseline: float = Field(description="logit of the average training image")
    speaking_for: tuple[Contribution, ...] = Field(description="strongest first")
    speaking_against: tuple[Contribution, ...] = Field(description="strongest first")
    rest: float = Field(description="sum of all contributions that are not listed")
