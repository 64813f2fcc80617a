"""Settings of the stage `probe`: how heads are trained."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.heads import ChosenHead, choosable


class GroundingSpec(BaseModel, frozen=True, extra="forbid", populate_by_name=True):
    """Where directions of concepts come from that no image of this study teaches."""

    study: str = Field(
        alias="from",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="name of another study that was run in this store, with the same encoder: the "
        "directions of selected concepts that its true/false columns decide are learned from its "
        "training images",
    )


class ProbeSpec(BaseModel, frozen=True, extra="forbid"):
    """How the heads are trained; everything is chosen on validation images."""

    heads: tuple[ChosenHead, ...] = Field(
        default_factory=lambda: choosable("all images"),
        description="trained beside the linear probe, the concept bottleneck, random concepts and "
        "the majority class, which always are; a hybrid brings the sparse head along, and each "
        "the random concepts or directions that it is held against",
    )
    nec: tuple[int, ...] = Field(
        default=(5, 10, 15, 20, 25, 30),
        description="numbers of effective concepts (non-zero weights / classes) at which sparse "
        "heads of selected and of random concepts are compared",
    )
    l2_values: tuple[float, ...] = Field(
        default=(1e2, 2e1, 5e0, 1e0, 2e-1, 5e-2, 1e-2, 2e-3, 5e-4, 1e-4, 2e-5, 5e-6, 1e-6),
        min_length=1,
        description="strengths tried for the linear probe, on features of unit variance; "
        "methods/solvers/linear.py has the objective",
    )
    residual_l2_values: tuple[float, ...] = Field(
        default=(1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3),
        min_length=1,
        description="strengths tried for what images add to a hybrid's concepts, and for grounding "
        "functions",
    )
    grounding: GroundingSpec | None = Field(
        default=None,
        exclude_if=lambda grounding: grounding is None,
        description="another study, whose labelled images teach one more head the directions of "
        "concepts; empty: there is no such head",
    )
    class_weight: Literal["none", "balanced"] = Field(
        default="balanced", description="balanced: every class counts the same in the loss"
    )
    epochs: int = Field(default=1000, gt=0, description="most epochs of LaBo's bottleneck")
    learning_rate: float = Field(default=0.01, gt=0, le=10, description="of Adam")
    patience: int = Field(default=100, gt=0, description="epochs without a better validation loss")
    random_draws: int = Field(
        default=5, ge=1, le=100, description="of each baseline that chance has a part in"
    )
    seed: int = Field(default=0, ge=0, description="of everything that is drawn at random")

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(self.l2_values) <= 0 or min(self.residual_l2_values) <= 0:
            raise ValueError("every value of l2_values and residual_l2_values must be above 0")
        if min(self.nec, default=1) < 1:
            raise ValueError("every value of nec must be at least 1")
        return self
