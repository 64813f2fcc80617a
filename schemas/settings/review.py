"""Settings of the stage `review`: whether a person decides about concepts."""

from typing import Literal

from pydantic import BaseModel, Field


class ReviewSpec(BaseModel, frozen=True, extra="forbid"):
    """Whether a person decides about concepts before any is selected."""

    mode: Literal["off", "file", "ui"] = Field(
        default="off",
        description="file: `curette review export`, then `import`; ui: the run pauses in the "
        "Prefect UI with a form for the concepts that gates were unsure of, and for names of what "
        "was found among images",
    )
    reviewer: str = Field(
        default="", max_length=200, description="who decides, unless the form or sheet says who"
    )
    max_asked: int = Field(
        default=20,
        gt=0,
        le=100,
        description="concepts on the form, the least sure first, then those to name",
    )
    timeout_s: int = Field(
        default=86_400, gt=0, description="how long a run waits for the form; then it fails"
    )
