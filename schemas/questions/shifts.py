"""How good heads are in and out of domain, when trained under a shift."""

from typing import Literal

from pydantic import AliasChoices, BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate
from curette.schemas.shifts import ShiftPart, ShiftPlan, UnusableDraw

ShiftMetricName = Literal["balanced_accuracy", "macro_auroc", "debiased_calibration_error"]
ShiftValueName = Literal["in_domain", "out_of_domain", "gap", "mean", "worst_group"]


class ShiftValue(Estimate, frozen=True):
    """One number of one head under a shift, and how far it is ahead of the linear probe's."""

    head: str
    head_kind: HeadKind
    name: ShiftMetricName | Literal["accuracy"] = Field(description="accuracy: of the worst group")
    of: ShiftValueName = Field(description="gap: in domain minus out of domain")
    lead: float | None = Field(default=None, description="head minus linear probe; nothing: itself")
    lead_low: float | None = None
    lead_high: float | None = None


class WorstGroup(BaseModel, frozen=True):
    """The class and value at which a head is right least often."""

    head: str
    class_key: str
    value: str = Field(description="of the column")
    images: int


class ConfounderScore(BaseModel, frozen=True):
    """How well one concept's score tells the images of one value from the others."""

    concept_id: str
    text: str
    value: str = Field(description="of the column")
    within_class_auroc: float | None = Field(
        description="over pairs of one class; nothing where no class has images of both kinds"
    )
    auroc: float = Field(
        description="over all pairs; a concept that tells only the class tells of what goes with it"
    )


class ShiftResult(BaseModel, frozen=True, populate_by_name=True):
    """One shift, measured."""

    plan: ShiftPlan
    parts: tuple[ShiftPart, ...] = Field(description="of the test split: in and out of domain")
    left_out: tuple[str, ...] = Field(
        description="class keys of which one of the two, or training, has too few images"
    )
    smaller_side: dict[str, int] = Field(
        validation_alias=AliasChoices("smaller_side", "thinner_groups"),  # as it was once
        description="class key -> independent groups on the side that has fewer; of the "
        "measured classes. How far intervals can be relied on",
    )
    values: tuple[ShiftValue, ...]
    worst_groups: tuple[WorstGroup, ...]
    confounders: tuple[ConfounderScore, ...] = Field(
        description="every concept of the bottleneck, those first that tell most of the column "
        "within classes, by training and validation images"
    )


class ShiftTables(BaseModel, frozen=True):
    """All shifts of a study."""

    results: tuple[ShiftResult, ...]
    unusable: tuple[UnusableDraw, ...]
    confidence: float
    resamples: int
    smallest: int = Field(description="independent groups that a worst group needs")
    fewest: int = Field(description="independent groups that a class needs on both sides")
