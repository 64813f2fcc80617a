"""Settings of the stage `select`: which concepts are chosen."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator


class SelectSpec(BaseModel, frozen=True, extra="forbid"):
    """How concepts are chosen: greedily, `alpha * discriminability + beta * coverage`.

    Both terms are scaled to [0, 1], so their weights can be compared.
    """

    method: Literal["submodular", "random", "top_discriminability"] = Field(
        default="submodular", description="the last two are baselines"
    )
    scope: Literal["per_class", "jointly"] = Field(
        default="per_class",
        description="each class covers its own candidates, or all classes together cover all; "
        "jointly, a candidate of several classes is picked once and takes up one class's quota",
    )
    per_class: int = Field(default=10, gt=0, le=10_000, description="concepts chosen a class")
    discriminability_weight: float = Field(default=1.0, ge=0, description="alpha")
    coverage_weight: float = Field(default=1.0, ge=0, description="beta")
    seed: int = Field(default=0, ge=0, description="used by `random` alone")

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.discriminability_weight == 0 and self.coverage_weight == 0:
            raise ValueError("both weights are 0: every set would be equally good")
        return self
