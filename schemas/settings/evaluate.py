"""Settings of the stage `evaluate`: how heads are measured."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.metadata import ValueName
from curette.schemas.metrics import IntervalMethod
from curette.schemas.taxonomy import Taxonomy

Answer = Literal["yes", "no", "unknown"]


class ThresholdoutSpec(BaseModel, frozen=True, extra="forbid"):
    """Answers that survive many readings of the same test labels; methods/statistics/holdout.py.

    Only the balanced accuracy of each head is told: that of the validation images as long as the
    test's agrees with it, else the test's with noise, until the budget of the test labels is spent.
    All studies in a store share it, and must ask with the settings of the first.
    """

    threshold: float = Field(
        default=0.04, gt=0, lt=1, description="how far validation and test may lie apart"
    )
    noise: float = Field(default=0.01, gt=0, lt=1, description="scale of the Laplace noise")
    budget: int = Field(
        default=20, gt=0, description="how often they may be found apart, over all studies"
    )


class EvaluateSpec(BaseModel, frozen=True, extra="forbid"):
    """How the test split is read, once."""

    resamples: int = Field(default=2000, ge=100, le=100_000, description="of the bootstrap")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of every interval")
    interval: IntervalMethod = Field(
        default="percentile",
        description="of the bootstrap; see methods/statistics/bootstrap.py",
    )
    seed: int = Field(default=0, ge=0, description="of resamples and permutations")
    permutations: int = Field(
        default=1000, ge=100, le=100_000, description="of the labels of concepts, for p-values"
    )
    explained_images: int = Field(
        default=8, ge=0, le=100, description="test images taken apart in the report"
    )
    subgroup_columns: tuple[str, ...] | None = Field(
        default=None,
        description="metadata columns whose values are measured apart, such as sex; empty list: "
        "none; nothing: every usable one",
    )
    subgroup_edges: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="metadata column -> inner edges of its bins, rising; otherwise an age is cut "
        "at 20, 40, 60 and 80, another column of many numbers at its quartiles",
    )
    smallest_subgroup: int = Field(
        default=10, ge=2, description="independent groups; smaller subgroups are merged or hidden"
    )
    inferred_shares: dict[str, ValueName] = Field(
        default_factory=dict,
        exclude_if=lambda columns: not columns,
        description="metadata column -> value, such as `{sex: female}`: how well somebody who is "
        "given a head guesses what share of its training images had it; empty: is not measured",
    )
    thresholdout: ThresholdoutSpec | None = Field(
        default=None,
        description="for studies that read the same test labels again and again: say little of "
        "them, and keep count; nothing: everything is measured, and each reading counted",
    )
    ordered: bool = Field(
        default=False,
        exclude_if=lambda ordered: not ordered,
        description="whether classes have an order; `dataset.ordered` says it for the study",
    )
    taxonomy: Taxonomy = Field(
        default_factory=dict,
        exclude_if=lambda tree: not tree,
        description="classes in a tree; `dataset.taxonomy` says it for the study",
    )
    pretraining: str = Field(
        default="", description="what the encoder was pretrained on, in the study's own words"
    )
    pretraining_covers_test: Answer = Field(
        default="unknown", description="whether that contains these test images"
    )

    @model_validator(mode="after")
    def _edges_rise(self) -> Self:
        for column, edges in self.subgroup_edges.items():
            if not edges or list(edges) != sorted(set(edges)):
                raise ValueError(f"subgroup_edges of {column} must be some rising numbers")
        return self
