"""Domain shift: where heads are trained, and where they are tested."""

from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int
from pydantic import AliasChoices, BaseModel, Field

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
