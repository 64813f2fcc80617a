"""Which concepts decide, for how many images, and how often that is right."""

from pydantic import BaseModel, Field

from curette.schemas.metrics import Estimate


class HeadStrategy(BaseModel, frozen=True):
    """One concept that decides images for one class."""

    class_key: str
    concept_id: str
    text: str
    images: int = Field(description="validation images that it decides")
    prevalence: Estimate = Field(description="share of the images that are called this class")
    reliability: Estimate | None = Field(
        description="share of the images that it decides whose class it is; nothing where the "
        "images are of too few groups for an interval"
    )
    examples: tuple[str, ...] = Field(description="ids of images, those it decides most clearly")


class StrategiesForetell(BaseModel, frozen=True):
    """Whether how reliable an image's strategy was tells if the image is decided rightly.

    AUROCs of rightly decided test images against the others, by what is known of validation images.
    """

    images: int = Field(description="test images decided as some validation image is")
    others: int = Field(description="test images left out, decided as no validation image is")
    strategy: Estimate = Field(description="by the reliability of class and deciding concept")
    class_alone: Estimate = Field(description="by the reliability of the class it is called")
    confidence: Estimate = Field(description="by the highest probability, which is the baseline")
    over_confidence: Estimate


class Strategies(BaseModel, frozen=True):
    """Which concepts decide, for how many validation images, and how often that is right."""

    head: str = ""
    not_computable: str = ""
    strategies: tuple[HeadStrategy, ...] = ()
    foretold: StrategiesForetell | None = Field(
        default=None,
        description="nothing where no image, or every image, is decided rightly, or it was not "
        "measured yet",
    )
