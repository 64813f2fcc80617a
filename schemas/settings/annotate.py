"""Settings of the stage `annotate`: what a language model may read in reports or images."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.consent import Sent, why_not_sent
from curette.schemas.settings.llm import LlmSpec


class AnnotateSpec(BaseModel, frozen=True, extra="forbid"):
    """What a model is asked about each report or image, and when its answers are used."""

    reports_may_be_sent_to: str = Field(
        default="",
        description="the llm's base_url, written out: the consent that patients' reports leave "
        "this machine for it",
    )
    images_may_be_sent_to: str = Field(
        default="",
        exclude_if=lambda address: not address,
        description="the llm's base_url, written out: the consent that patients' images leave "
        "this machine for a model that sees; then images are read, not reports",
    )
    image_side: int = Field(
        default=512,
        ge=64,
        le=2048,
        exclude_if=lambda side: side == 512,
        description="pixels of the longer side of an image as it is sent, at most",
    )
    test_images: bool = Field(
        default=False,
        exclude_if=lambda sent: not sent,
        description="whether test images may be sent too; the evaluation of labelled concepts "
        "needs it, and the annotations say so",
    )
    not_mentioned: Literal["unknown", "absent"] = Field(
        default="unknown",
        description="what a report's silence says of a concept; `absent` as in KnoBo",
    )
    statements_per_question: int = Field(
        default=20, gt=0, le=100, description="concepts asked about at a time"
    )
    longest_report: int = Field(
        default=8000, ge=100, description="characters of a report that are sent; the rest is cut"
    )
    max_reports: int | None = Field(
        default=None,
        gt=0,
        description="different reports or images that are read at most; empty: all",
    )
    checked_share: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="share of the reports outside the test split, 50 at least, asked about twice, "
        "besides those that it takes to check each concept",
    )
    min_kappa: float = Field(
        default=0.4,
        ge=-1,
        le=1,
        description="a concept whose two answers agree less beyond chance is not used",
    )

    @model_validator(mode="after")
    def _one_reader(self) -> Self:
        if self.images_may_be_sent_to and self.reports_may_be_sent_to:
            raise ValueError(
                "reports_may_be_sent_to and images_may_be_sent_to exclude each other: annotations "
                "are of one kind. Leave one of them out"
            )
        if self.images_may_be_sent_to and self.not_mentioned == "absent":
            raise ValueError(
                "not_mentioned: absent is about reports. A model that cannot tell what an image "
                "shows has not said that it is absent: leave the setting out"
            )
        return self

    @property
    def reads(self) -> Sent:
        """What the model is given."""
        return "images" if self.images_may_be_sent_to else "reports"

    def why_not_sent(self, llm: LlmSpec) -> str:
        """Return why nothing may be sent to a model; empty where the study allows it."""
        allowed = self.images_may_be_sent_to or self.reports_may_be_sent_to
        return why_not_sent(self.reads, allowed, "annotate", llm)
