"""What each head confuses, how far its confidence holds, and what that buys."""

from pydantic import BaseModel, Field


class CurvePoint(BaseModel, frozen=True):
    """One bin of a reliability curve."""

    confidence: float
    accuracy: float
    images: int


class Calibration(BaseModel, frozen=True):
    """Whether a head is as often right as it says, before and after its temperature."""

    temperature: float = Field(description="divisor of the logits that validation images prefer")
    at_bound: bool = Field(description="the fit ran away, so the temperature means nothing")
    validation_images: int
    log_loss: float = Field(description="of the test images, as the head is")
    log_loss_after: float = Field(description="of the test images, at the temperature")
    error: float | None = Field(
        description="debiased root mean square calibration error, as the head is; nothing where "
        "no bin has images of two groups"
    )
    error_after: float | None = Field(description="the same at the temperature")
    reliability: tuple[CurvePoint, ...] = Field(
        description="as the head is; every bin has as many images, but for ties"
    )


class RiskPoint(BaseModel, frozen=True):
    """What a head is worth if it leaves all images below a confidence to people."""

    threshold: float
    coverage: float = Field(description="share of the images that it answers")
    risk: float = Field(description="share of wrong answers among them")


class HeadCurves(BaseModel, frozen=True):
    """What is drawn of one head."""

    head: str
    confusion: tuple[tuple[int, ...], ...] = Field(description="true class x predicted class")
    calibration: Calibration
    risk_coverage: tuple[RiskPoint, ...] = Field(description="least coverage first")
