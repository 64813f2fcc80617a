"""What each head says of each test image."""

from pydantic import BaseModel, Field


class Prediction(BaseModel, frozen=True):
    """What every head said of one test image."""

    image_id: str
    label: str
    predicted: dict[str, str] = Field(description="head -> class key")
