"""Priors: what is believed of every concept and class before any image is looked at."""

from typing import ClassVar, Literal, Self, get_args

from pydantic import BaseModel, Field, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.llm import Usage

Answer = Literal["speaks for", "neutral", "speaks against"]
PriorQuestion = Literal["speaks for", "speaks against", "reverse"]
QUESTIONS: tuple[PriorQuestion, ...] = get_args(PriorQuestion)


class Votes(BaseModel, frozen=True):
    """Yes/no votes of repeated questions."""

    yes: int = Field(default=0, ge=0)
    no: int = Field(default=0, ge=0)

    @property
    def agreement(self) -> float:
        """Share of the larger side; 0 where nobody voted."""
        return max(self.yes, self.no) / (self.yes + self.no) if self.yes + self.no else 0.0


class Prior(BaseModel, frozen=True):
    """What is believed of one concept and one class."""

    concept_id: str
    class_key: str
    answer: Answer
    speaks_for: Votes = Field(default=Votes(), description="does the class show the concept?")
    speaks_against: Votes = Field(
        default=Votes(), description="does the concept count against the class?"
    )
    reverse: Votes = Field(
        default=Votes(), description="was the class named, given the concept without its classes?"
    )
    directions_differ: bool = Field(
        default=False, description="`speaks for` in one direction and not in the other"
    )

    @property
    def sign(self) -> int:
        """1, 0 or -1."""
        return {"speaks for": 1, "neutral": 0, "speaks against": -1}[self.answer]


class PlantedAnswers(BaseModel, frozen=True):
    """What a model said of planted classes whose right answer is one and the same."""

    truth: bool = Field(description="the right answer")
    yes: int
    no: int
    asked: int

    @property
    def right(self) -> int:
        """Answers that are right."""
        return self.yes if self.truth else self.no

    def bears(self, least: float) -> bool:
        """Return whether more than half came, and at least such a share of these is right."""
        said = self.yes + self.no
        return 2 * said > self.asked and self.right >= least * said


class PriorAgreement(BaseModel, frozen=True):
    """How much repeated answers to one question agree, over all concepts and classes."""

    question: PriorQuestion
    kappa: float | None = Field(
        description="Fleiss' kappa (Psychological Bulletin 76, 1971); empty where undefined"
    )
    items: int = Field(
        description="concepts x classes with every vote cast; the others are not in kappa"
    )
    votes_each: int


class ClassSpelling(BaseModel, frozen=True):
    """Two names in a file that mean one class, and how far their answers agree."""

    class_key: str
    names: tuple[str, str]
    questions: int = Field(description="answered under both names")
    agree: int = Field(description="of these, with the same answer")
    kappa: float | None = Field(description="Cohen's kappa; empty where undefined")
    used: bool = Field(
        default=True, description="false: the second only looks like the class's, and was not read"
    )


class Priors(JsonArtifact, frozen=True):
    """One prior for every screened concept and every class, concepts first."""

    kind: ClassVar[str] = "priors"

    class_keys: tuple[str, ...]
    concept_ids: tuple[str, ...] = Field(description="in the order of the screened set")
    source: str = Field(description="one line about where they come from, for cards and reports")
    asked: Literal["links", "llm", "file"]
    priors: tuple[Prior, ...]
    agreement: tuple[PriorAgreement, ...] = ()
    planted: tuple[PlantedAnswers, ...] = Field(
        default=(), description="what was said of questions whose answers everybody knows"
    )
    believed: bool = Field(
        default=True,
        description="false: too few control questions were answered rightly; all is neutral",
    )
    spellings: tuple[ClassSpelling, ...] = ()
    unmatched: tuple[str, ...] = Field(
        default=(), description="concepts of the file that are not in the screened set"
    )
    failures: tuple[str, ...] = Field(
        default=(), description="questions without a usable answer: no vote, never a `no`"
    )
    usage: Usage = Usage()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        wanted = [(c, k) for c in self.concept_ids for k in self.class_keys]
        if [(p.concept_id, p.class_key) for p in self.priors] != wanted:
            raise ValueError("each concept needs one prior for each class, in order")
        return self
