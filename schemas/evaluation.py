"""What the heads are worth on images that nothing has seen before."""

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from schemas.artifact import JsonArtifact
from schemas.probe import HeadKind

MetricName = Literal[
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_auroc",
    "expected_calibration_error",
    "log_loss",
]


IntervalMethod = Literal["percentile", "bca"]


class EvaluateSpec(BaseModel, frozen=True, extra="forbid"):
    """How the test split is read, once."""

    resamples: int = Field(default=2000, ge=100, le=100_000, description="of the bootstrap")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    interval: IntervalMethod = Field(
        default="percentile", description="of the bootstrap; see tasks/evaluate/bootstrap.py"
    )
    seed: int = Field(default=0, ge=0)
    explained_images: int = Field(
        default=8, ge=0, le=100, description="test images taken apart in the report"
    )


class Metric(BaseModel, frozen=True):
    """One number with its interval."""

    head: str = Field(description="the head's name; several random draws are one head, averaged")
    head_kind: HeadKind
    name: MetricName
    value: float
    low: float
    high: float
    method: IntervalMethod = Field(description="percentile where BCa was asked for but has none")


class Difference(BaseModel, frozen=True):
    """A head against a baseline on the same resamples."""

    head: str
    baseline: str
    name: MetricName
    value: float = Field(description="head minus baseline")
    low: float
    high: float
    method: IntervalMethod


class CurvePoint(BaseModel, frozen=True):
    """One bin of a reliability curve."""

    confidence: float
    accuracy: float
    images: int


class HeadCurves(BaseModel, frozen=True):
    """What is drawn of one head."""

    head: str
    confusion: tuple[tuple[int, ...], ...] = Field(description="true class x predicted class")
    reliability: tuple[CurvePoint, ...]


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


class Prediction(BaseModel, frozen=True):
    """What every head said of one test image."""

    image_id: str
    label: str
    predicted: dict[str, str] = Field(description="head -> class key")


class Evaluation(JsonArtifact, frozen=True):
    """The only artifact that has seen the test labels."""

    kind: ClassVar[str] = "evaluation"

    class_keys: tuple[str, ...]
    images: int
    groups: int = Field(description="independent units that were resampled")
    resamples: int
    confidence: float
    interval: IntervalMethod
    metrics: tuple[Metric, ...]
    differences: tuple[Difference, ...]
    curves: tuple[HeadCurves, ...]
    explanations: tuple[Explanation, ...]
    predictions: tuple[Prediction, ...]
