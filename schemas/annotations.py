"""Annotations: what a language model reads in reports about concepts, and how far it agrees."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import pandas as pd
from pydantic import BaseModel, Field

from curette.schemas.artifact import Artifact, write_json
from curette.schemas.images import ANNOTATION
from curette.schemas.llm import Usage
from curette.schemas.screened import LabelledConcept

ReportAnswer = Literal["present", "absent", "not mentioned"]
"""Of an image, `not mentioned` stands for "cannot tell"."""
ANSWERS: tuple[ReportAnswer, ...] = get_args(ReportAnswer)


def _is_unset(value: object) -> bool:
    """Leave out what annotations of reports never had."""
    return value is None


class ColumnAgreement(BaseModel, frozen=True):
    """First answers held against a column of the data, on images outside the test split."""

    attribute: str
    denied: bool = Field(description="whether the concept is there where the attribute is not")
    images: int = Field(description="of which the column and the first answers say something")
    accuracy: float | None = Field(description="share that agree; empty where there are none")
    kappa: float | None = Field(description="Cohen's; empty where undefined")
    class_kappa: float | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="Cohen's kappa with the column of whoever calls a concept present on all "
        "images of the classes it was proposed for and on no other, on the same images",
    )


class AnnotatedConcept(BaseModel, frozen=True):
    """What reports say of one concept, and whether that is used."""

    concept_id: str
    text: str
    present: int = Field(description="images whose report says that it is there")
    absent: int
    not_mentioned: int
    unanswered: int = Field(description="images with a report, and no usable answer about it")
    checked: int = Field(description="reports that were asked about twice, with two usable answers")
    decided: int = Field(
        description="of these, with answers that both say whether it is there; silence says so "
        "where it is taken for absence"
    )
    agreement: float | None = Field(
        description="share of the checked with the same answer twice; reports that mention it are "
        "more among them than among all"
    )
    kappa: float | None = Field(
        description="Cohen's, of the two answers: the lower of that of all three and that of "
        "present against absent; empty where either is undefined"
    )
    luck: float = Field(
        description="probability that one who guesses between present and absent agrees as well: "
        "Fisher's exact test of the decided, one-sided"
    )
    class_kappa: float | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="Cohen's kappa of the first answers with `the image is of a class that the "
        "concept was proposed for`; near 1 the labels are the classes again",
    )
    column: ColumnAgreement | None = Field(
        default=None, description="where a column of the data decides it, and so comes first"
    )
    why_unused: str = Field(default="", description="empty where the annotations are used")


class AnnotationFailure(BaseModel, frozen=True):
    """A question without a whole answer; what it leaves open is unknown, never absent."""

    image_id: str = Field(description="the first image that has the report")
    turn: Literal["first", "second"]
    concepts: tuple[int, int] = Field(description="from the first to the last, counted from 1")
    reason: str


class AnnotationFacts(BaseModel, frozen=True):
    """Who annotated what, and how well; repeated wherever annotations are used."""

    model: str
    server: str = Field(
        default="",
        exclude_if=lambda server: not server,
        description="where the reports were sent; not in what is published",
    )
    reads: Literal["reports", "images"] = Field(
        default="reports",
        exclude_if=lambda reads: reads == "reports",
        description="what was read; of images a report below is an image's file",
    )
    side: int | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="pixels of the longer side of the images as they were sent, at most",
    )
    test_images: bool = Field(
        default=False, exclude_if=lambda sent: not sent, description="whether test images were sent"
    )
    not_mentioned: Literal["unknown", "absent"]
    min_kappa: float
    images: int = Field(description="with a report that was read")
    images_without: int = Field(description="without a report, or beyond the limit of reports")
    reports: int = Field(description="different ones")
    cut: int = Field(description="reports that were longer than what was sent of them")
    checked_reports: int = Field(
        description="asked about twice, the list turned round; not each about all concepts"
    )
    questions: int
    contradicted: int = Field(
        description="concepts of a report that were answered in two ways, and count as unanswered"
    )
    failures: tuple[AnnotationFailure, ...] = ()
    concepts: tuple[AnnotatedConcept, ...]
    usage: Usage = Usage()

    @property
    def source(self) -> str:
        """Who says so, in words."""
        return f"annotated by {self.model} from {self.reads}"

    @property
    def published(self) -> Self:
        """These facts without what tells of the machines of those who asked."""
        parts = re.split(r"[/\\]+", self.model.rstrip("/\\"))
        is_path = len(parts) > 2 or "\\" in self.model or parts[0] in ("", ".", "..", "~")
        return self.model_copy(update={"server": "", "model": parts[-1] if is_path else self.model})

    @property
    def used(self) -> tuple[AnnotatedConcept, ...]:
        """The concepts of which the annotations are used."""
        return tuple(c for c in self.concepts if not c.why_unused)


@dataclass(frozen=True, eq=False)
class Annotations(Artifact):
    """A language model's reading of reports; ground truth only as far as its reading is right."""

    kind: ClassVar[str] = "annotations"

    facts: AnnotationFacts
    answers: pd.DataFrame
    """`image_id`, and for each concept a column named by its id: a `ReportAnswer`, or None."""

    def __post_init__(self) -> None:
        """Refuse answers that nobody could have given, or about other concepts."""
        if list(self.answers.columns) != ["image_id", *(c.concept_id for c in self.facts.concepts)]:
            raise ValueError("answers need one column for each concept, in order")
        given = pd.unique(self.answers.drop(columns="image_id").to_numpy(dtype=object).ravel())
        if strange := [a for a in given if not pd.isna(a) and a not in ANSWERS]:
            raise ValueError(f"unknown answers {strange}; there are {', '.join(ANSWERS)}")

    def truth(self, concept_id: str) -> "pd.Series[Any]":
        """Return what the annotations say of a concept: image id -> true, false or missing."""
        meaning = {"present": True, "absent": False}
        if self.facts.not_mentioned == "absent":
            meaning["not mentioned"] = False
        said = self.answers.set_index("image_id")[concept_id]
        return said.map(meaning).astype("boolean")

    @property
    def labelled(self) -> tuple[LabelledConcept, ...]:
        """Return the concepts that the annotations decide."""
        return tuple(
            LabelledConcept(
                concept_id=c.concept_id,
                attribute=c.concept_id,
                denied=False,
                source=self.facts.reads,
            )
            for c in self.facts.used
        )

    def columns(self, image_ids: "pd.Series[Any]") -> pd.DataFrame:
        """Return the columns of a published image table, in its order of images."""
        return pd.DataFrame(
            {
                f"{ANNOTATION}{c.concept_id}": image_ids.map(self.truth(c.concept_id)).astype(
                    "boolean"
                )
                for c in self.facts.used
            },
            index=image_ids.index,
        )

    def write(self, folder: Path) -> None:
        """Write `facts.json` and `answers.parquet`."""
        write_json(folder / "facts.json", self.facts.model_dump(mode="json"))
        self.answers.astype(object).to_parquet(folder / "answers.parquet", index=False)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read both back; every promise is checked again."""
        return cls(
            facts=AnnotationFacts.model_validate_json((folder / "facts.json").read_bytes()),
            answers=pd.read_parquet(folder / "answers.parquet"),
        )
