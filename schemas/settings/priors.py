"""Settings of the stage `priors`: what is believed before any image is looked at."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field


class LinkPriors(BaseModel, frozen=True, extra="forbid"):
    """A concept speaks for the classes it was proposed for and is neutral on the others (LaBo)."""

    kind: Literal["links"] = "links"


class AskedPriors(BaseModel, frozen=True, extra="forbid"):
    """A language model is asked twice, yes or no, several times, in both directions."""

    kind: Literal["llm"]
    repeats: int = Field(
        default=3, ge=1, le=20, description="times each question is asked, in varied words"
    )
    min_agreement: float = Field(
        default=0.8,
        gt=0.5,
        le=1,
        description="share of votes that must agree; with less the answer is neutral",
    )
    min_planted: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="share of answers to control questions of each kind that must be right; with "
        "less every prior is neutral",
    )


class FilePriors(BaseModel, frozen=True, extra="forbid"):
    """Answers that somebody published."""

    kind: Literal["file"]
    path: Path = Field(description="the file; relative paths start at the study file")
    format: Literal["class_to_concepts", "class_to_question_to_answer"] = Field(
        description="LaBo's links `class -> [concept]`; KnoBo's `class -> question -> yes or no`"
    )


PriorSpec = Annotated[LinkPriors | AskedPriors | FilePriors, Field(discriminator="kind")]
