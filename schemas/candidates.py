"""Candidate concepts: where they are asked for, and each with its origin."""

import hashlib
import re
import unicodedata
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, Field, computed_field, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.llm import Usage


class LlmOrigin(BaseModel, frozen=True):
    """A concept that a language model wrote."""

    kind: Literal["llm"] = "llm"
    prompt: str = Field(description="name of the prompt: an aspect, or `contrast`")
    model: str
    prompt_sha256: str
    request_sha256: str
    recorded: bool = Field(description="true where the answer was replayed from a record")
    round: int = Field(
        default=1, exclude_if=lambda number: number == 1, description="of proposing, from 1"
    )
    pair: tuple[str, str] | None = Field(
        default=None,
        exclude_if=lambda pair: pair is None,
        description="keys of the confused classes that a later round asked about",
    )


class FileOrigin(BaseModel, frozen=True):
    """A concept that stood in a file."""

    kind: Literal["file"] = "file"
    file: str = Field(description="the file's name, without its folder")
    line: int = Field(ge=1, description="line, or position in the class's list")


class DocumentOrigin(BaseModel, frozen=True):
    """A concept that a language model found in a document, and where it stands there."""

    kind: Literal["document"] = "document"
    model: str
    prompt_sha256: str
    request_sha256: str
    document: str = Field(
        description="path below the folder; of a .jsonl line with `#` and its id, else its number"
    )
    document_sha256: str = Field(description="of the document's text")
    start: int = Field(ge=0, description="first character of the quote in the document's text")
    end: int = Field(gt=0, description="the character after its last")
    quote: str = Field(description="verbatim: the document's text from start to end")


class ReviewOrigin(BaseModel, frozen=True):
    """A concept whose words a reviewer chose; the other origins are those of the old words."""

    kind: Literal["review"] = "review"
    reviewer: str
    reworded_from: str = Field(description="the old words")


Origin = Annotated[
    LlmOrigin | DocumentOrigin | FileOrigin | ReviewOrigin, Field(discriminator="kind")
]


def normal_form(text: str) -> str:
    """Return the form in which two texts are the same concept.

    Unicode NFKC, lower case, one space between words, no punctuation at the ends.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\s+", " ", folded).strip(" \t\n.,;:!?\"'`*-–—•")


def concept_id(text: str) -> str:
    """Return the id of a concept: 12 hex digits of the sha256 of its normal form."""
    return hashlib.sha256(normal_form(text).encode()).hexdigest()[:12]


class Candidate(BaseModel, frozen=True):
    """One statement that somebody proposed, with every class it was proposed for."""

    text: str = Field(min_length=1)
    classes: tuple[str, ...] = Field(description="class keys, in the dataset's order")
    origins: tuple[Origin, ...] = Field(min_length=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def concept_id(self) -> str:
        """The concept's id, from its normal form."""
        return concept_id(self.text)

    @property
    def round(self) -> int:
        """The round of proposing that it came in."""
        return min(o.round if isinstance(o, LlmOrigin) else 1 for o in self.origins)


class AskFailure(BaseModel, frozen=True):
    """An answer, or one text of an answer or file, that could not be used, and why."""

    class_key: str = Field(description="or both keys of a pair; `*` for all classes")
    request_sha256: str = Field(description="empty where the text stood in a file")
    reason: str
    raw: str = Field(description="the raw answer, cut to 2,000 characters")


class SaturationPoint(BaseModel, frozen=True):
    """How much was known of a class after so many requests."""

    requests: int
    distinct: int = Field(description="different concepts so far")


class Saturation(BaseModel, frozen=True):
    """How far asking about one class, or pair of classes, has come."""

    source: Literal["class_prompts", "contrasts", "documents", "recorded"]
    about: str = Field(description="class key, or both keys of a pair")
    points: tuple[SaturationPoint, ...] = Field(description="one a round")
    mentions: int = Field(description="n: concepts named, repeated ones included")
    once: int = Field(description="f1: concepts named exactly once")
    twice: int = Field(description="f2: concepts named exactly twice")
    stopped: Literal["saturated", "limit"]

    @property
    def unseen_share(self) -> float:
        """Return Good and Turing's estimate that the next concept named is new: f1 / n.

        Good, Biometrika 40 (1953), section 2. 1 where nothing was named at all.
        """
        return self.once / self.mentions if self.mentions else 1.0

    @property
    def unseen_concepts(self) -> float:
        """Return Chao's lower bound on how many concepts were never named.

        f1 (f1 - 1) / (2 (f2 + 1)), the bias-corrected form: Chao, Scand. J. Statistics 11 (1984).
        """
        return self.once * (self.once - 1) / (2 * (self.twice + 1))


class AskedAgain(BaseModel, frozen=True):
    """What a later round of proposing asked."""

    number: int = Field(ge=2, description="of the round")
    about: tuple[tuple[str, str], ...] = Field(description="pairs of class keys")
    usage: Usage = Field(description="of this round alone")


class CandidateSet(JsonArtifact, frozen=True):
    """All candidates, each once, in the order in which they were first proposed."""

    kind: ClassVar[str] = "candidates"

    candidates: tuple[Candidate, ...]
    failures: tuple[AskFailure, ...] = ()
    saturation: tuple[Saturation, ...] = ()
    usage: Usage = Usage()
    recorded: bool = Field(default=False, description="true where answers were replayed")
    source: str = Field(description="one line about where they come from, for cards and reports")
    again: AskedAgain | None = Field(
        default=None,
        exclude_if=lambda again: again is None,
        description="what the last round asked; nothing in the first",
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        ids = [c.concept_id for c in self.candidates]
        if len(set(ids)) != len(ids):
            raise ValueError("two candidates have the same normal form; merge their classes")
        return self
