"""Settings of the stage `select`: which concepts are chosen, and how many."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from curette.schemas.concepts import SelectMethod, method_once_called


class Size(BaseModel, frozen=True, extra="forbid"):
    """How many concepts: `enough`, a number, or `{per_class: a number}`."""

    total: int | None = Field(default=None, gt=0, le=10_000, description="concepts in all")
    per_class: int | None = Field(default=None, gt=0, le=10_000, description="concepts a class")

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if self.total is not None and self.per_class is not None:
            raise ValueError("say how many in all or how many a class, not both")
        return self

    @property
    def enough(self) -> bool:
        """Whether validation images say how many."""
        return self.total is None and self.per_class is None

    def __str__(self) -> str:
        if self.enough:
            return "enough"
        return str(self.total) if self.total is not None else f"{self.per_class} a class"


def _size_as_said(given: object) -> object:
    if given == "enough":
        return {}
    return {"total": given} if isinstance(given, int) and not isinstance(given, bool) else given


class SelectSpec(BaseModel, frozen=True, extra="forbid"):
    """How concepts are chosen, and how many."""

    method: Annotated[SelectMethod, BeforeValidator(method_once_called)] = Field(
        default="explained_variance",
        description="explained_variance: all classes together, each concept by what it adds to "
        "those already chosen; labo: a class at a time, by discriminability and coverage; random "
        "and top (the most discriminative) are baselines",
    )
    size: Annotated[Size, BeforeValidator(_size_as_said)] = Field(
        default_factory=Size,
        description="`enough`: the smallest number that loses nothing measurable on training and "
        "validation images; a number: so many in all; `{per_class: a number}`",
    )
    most: int = Field(
        default=40, gt=0, le=1000, description="`enough`: the largest number that is tried"
    )
    most_correlated: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="explained_variance: no two statements are chosen whose scores on training "
        "images correlate more, once what all statements share is taken off",
    )
    avoid: tuple[str, ...] | None = Field(
        default=None,
        description="explained_variance: metadata columns that concepts should not predict, such "
        "as ruler or hair; what the chosen ones explain of it within classes is charged to them. "
        "null: those of confounded `shifts`; []: none",
    )
    prior_images: float = Field(
        default=2.0,
        ge=0,
        description="explained_variance: with so many images of the rarest class, statements and "
        "their links count for as much as the images; with twice as many for a fifth",
    )
    scope: Literal["per_class", "jointly"] = Field(
        default="per_class",
        description="labo, random and top: each class covers its own candidates, or all classes "
        "together cover all; jointly, a candidate of several classes is picked once and takes up "
        "one class's quota",
    )
    discriminability_weight: float = Field(default=1.0, ge=0, description="labo: alpha")
    coverage_weight: float = Field(default=1.0, ge=0, description="labo: beta")
    seed: int = Field(
        default=0, ge=0, description="used by `random`, and to deal images into folds"
    )

    @model_validator(mode="before")
    @classmethod
    def _as_once_written(cls, given: Any) -> Any:
        """Read `per_class: N`, which was a setting of its own."""
        if not isinstance(given, Mapping) or "per_class" not in given:
            return given
        if "size" in given:
            raise ValueError("`per_class` belongs into `size` now: say `size: {per_class: 10}`")
        rest = {name: value for name, value in given.items() if name != "per_class"}
        return rest | {"size": {"per_class": given["per_class"]}}

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.discriminability_weight == 0 and self.coverage_weight == 0:
            raise ValueError("both weights are 0: every set would be equally good")
        return self

    def at_most(self, class_count: int) -> int:
        """Return how many concepts can come of it."""
        if self.size.per_class is not None:
            return self.size.per_class * class_count
        return self.size.total or max(self.most, class_count)

    def of(self, total: int) -> "SelectSpec":
        """Return the same settings for so many concepts in all."""
        return self.model_copy(update={"size": Size(total=total)})
