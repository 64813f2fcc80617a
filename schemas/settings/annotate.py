"""Settings of the stage `annotate`: what a language model may read in reports."""

from typing import Literal

from pydantic import BaseModel, Field

from curette.schemas.settings.llm import LlmSpec


class AnnotateSpec(BaseModel, frozen=True, extra="forbid"):
    """What a language model is asked about each report, and when its answers are used."""

    reports_may_be_sent_to: str = Field(
        default="",
        description="the llm's base_url, written out: the consent that patients' reports leave "
        "this machine for it",
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
        default=None, gt=0, description="different reports that are read at most; empty: all"
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

    def why_not_sent(self, llm: LlmSpec) -> str:
        """Return why no report may be sent to a model; empty where the study allows it."""
        server = llm.server
        allowed = self.reports_may_be_sent_to.rstrip("/")
        if not allowed:
            return (
                "reports are patients' text, and the study does not say that they may leave this "
                f"machine. If they may be sent to {server}, write "
                f"`annotate: {{reports_may_be_sent_to: {server}}}`. Nothing was sent"
            )
        if allowed != server:
            return (
                f"reports_may_be_sent_to is {allowed}, but the study's language model is at "
                f"{server}: reports go nowhere else than where the study says. Nothing was sent"
            )
        if llm.delivery == "batch":
            return (
                "llm.delivery is `batch`, which leaves files of what is asked and answered at the "
                "server for as long as it keeps them. Reports are asked about live alone: write "
                "`delivery: live`. Nothing was sent"
            )
        return ""
