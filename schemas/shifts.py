"""Domain shift: where heads are trained, where they are tested, and what they are worth there."""

from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int
from pydantic import AliasChoices, BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.settings.draw import ConfoundedShift, DomainShift


class DatasetShift(BaseModel, frozen=True, extra="forbid", populate_by_name=True):
    """Train on the study's own images, test on all of another dataset; what is said of that."""

    kind: Literal["dataset"] = "dataset"
    name: str
    source: str = Field(description="one line about where its images come from")
    synthetic: bool = Field(description="true where the project drew them")
    rejected: dict[str, int] = Field(description="reason -> rows that became no test images")
    near_copies: int = Field(description="images that look almost like one of the study's own")
    near_copy_cosine: float = Field(description="from which on two images count as that")
    pretraining_covers: Literal["yes", "no", "unknown"] = Field(
        description="whether the encoder was pretrained on them"
    )
    readings: str = Field(
        default="",
        description="what the ledger says of earlier readings of their labels",
        validation_alias=AliasChoices("readings", "looks"),  # as it was once
    )

    @property
    def column(self) -> str:
        """What tells the two sides apart."""
        return "dataset"

    @property
    def title(self) -> str:
        """What the shift is called."""
        return f"another dataset: {self.name}"


PlannedShift = Annotated[DomainShift | ConfoundedShift | DatasetShift, Field(discriminator="kind")]

ShiftPartName = Literal["training", "validation", "in_domain", "out_of_domain"]


class ShiftPart(BaseModel, frozen=True):
    """The images of one part of a shift, and how far label and attribute go together there."""

    name: ShiftPartName
    images: int
    effective_images: float = Field(
        description="Kish's: as many of equal weight tell as much; test images of a confounded "
        "shift are weighed"
    )
    groups: int = Field(description="independent units")
    classes: int = Field(description="classes that have images")
    cramers_v: float | None = Field(
        default=None, description="reached; nothing where one of them is constant or not confounded"
    )
    paired_share: float | None = Field(
        default=None, description="share of the images that have the value of their class"
    )


class ShiftPlan(BaseModel, frozen=True):
    """What a shift comes to on one dataset, as far as training and validation images say."""

    spec: PlannedShift
    values: tuple[str, ...] = Field(
        description="of the column; of a domain shift first those trained on, then all others; of "
        "datasets first the study's own"
    )
    pairing: tuple[str, ...] = Field(
        default=(), description="the value of each class, in the order of the class keys"
    )
    left_out: tuple[str, ...] = Field(
        default=(),
        description="class keys without training images of a value that they need: their images "
        "are trained on as they are, and not measured",
    )
    parts: tuple[ShiftPart, ...] = Field(description="training and validation")

    def positions(self, named: Iterable[str | None]) -> Int[np.ndarray, " image"]:
        """Return which of `values` each image has; -1 where none is known."""
        if self.spec.kind == "domain" and self.spec.below is None:
            trained = self.spec.train_on
            found = [-1 if name is None else int(name not in trained) for name in named]
        else:
            place: dict[str | None, int] = {value: i for i, value in enumerate(self.values)}
            found = [place.get(name, -1) for name in named]
        return np.array(found, dtype=np.int64)

    @property
    def paired(self) -> Int[np.ndarray, " class"]:
        """Return the position of each class's value."""
        return np.array([self.values.index(value) for value in self.pairing], dtype=np.int64)


class UnusableDraw(BaseModel, frozen=True):
    """A shift, a fold or a size that these images cannot show, and why."""

    title: str
    reason: str


# --- what they are worth -------------------------------------------------------------------------

ShiftMetricName = Literal["balanced_accuracy", "macro_auroc", "debiased_calibration_error"]
ShiftValueName = Literal["in_domain", "out_of_domain", "gap", "mean", "worst_group"]


class ShiftValue(BaseModel, frozen=True):
    """One number of one head under a shift, and how far it is ahead of the linear probe's."""

    head: str
    head_kind: HeadKind
    name: ShiftMetricName | Literal["accuracy"] = Field(description="accuracy: of the worst group")
    of: ShiftValueName = Field(description="gap: in domain minus out of domain")
    value: float
    low: float
    high: float
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
    """All shifts of a study; tasks/evaluate/questions/shifts.py."""

    results: tuple[ShiftResult, ...]
    unusable: tuple[UnusableDraw, ...]
    confidence: float
    resamples: int
    smallest: int = Field(description="independent groups that a worst group needs")
    fewest: int = Field(description="independent groups that a class needs on both sides")
