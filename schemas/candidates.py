"""Candidate concepts: where they are asked for, and each with its origin."""

import hashlib
import re
import unicodedata
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, computed_field, field_validator, model_validator

from schemas.artifact import JsonArtifact


class LlmSource(BaseModel, frozen=True, extra="forbid"):
    """A language model behind any server that speaks OpenAI's chat completions."""

    kind: Literal["llm"]
    model: str = Field(description="the model's name at its server")
    base_url: str | None = Field(
        default=None, description="the server, mostly ending in /v1; empty: OpenAI's own"
    )
    api_key_variable: str = Field(
        default="OPENAI_API_KEY",
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="environment variable that holds the key; the key itself is never stored",
    )
    samples: int = Field(default=3, gt=0, le=100, description="answers asked for each prompt")
    concepts_per_answer: int = Field(default=25, gt=0, le=200)
    temperature: float | None = Field(
        default=0.8, ge=0, le=2, description="empty: not sent, for models that refuse it"
    )
    max_tokens: int | None = Field(
        default=2000, gt=0, description="limit of one answer; empty: not sent"
    )
    timeout_s: float = Field(default=120, gt=0)
    max_retries: int = Field(default=6, ge=0, le=20, description="per request")
    concurrency: int = Field(default=8, gt=0, le=256, description="requests at a time")
    draw: int = Field(default=0, ge=0, description="another number asks for fresh answers")

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, value: str | None) -> str | None:
        """Refuse what is no server, or carries a password into manifests and logs."""
        if value is None:
            return None
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("base_url must look like http://localhost:8000/v1")
        if "@" in url.netloc or url.query:
            raise ValueError(
                "base_url must hold no user, password or query: manifests repeat it. Put the key "
                "into the environment variable that api_key_variable names"
            )
        return value.rstrip("/")


class RecordedSource(BaseModel, frozen=True, extra="forbid"):
    """Answers recorded earlier and kept in a file; labelled as recorded wherever they appear."""

    kind: Literal["recorded"]
    path: Path | None = Field(
        default=None, description="JSON of recorded answers; empty: the demo's own"
    )


class FileSource(BaseModel, frozen=True, extra="forbid"):
    """Concepts from a file that somebody published."""

    kind: Literal["file"]
    path: Path = Field(description="the file; relative paths start at the study file")
    format: Literal["class_to_concepts", "lines", "questions"] = Field(
        default="class_to_concepts",
        description="LaBo's JSON `class -> [concept]`; one concept a line; one yes/no question "
        "a line (KnoBo), turned into a statement",
    )


ProposeSource = Annotated[LlmSource | RecordedSource | FileSource, Field(discriminator="kind")]


class ProposeSpec(BaseModel, frozen=True, extra="forbid"):
    """How candidate concepts are found."""

    source: ProposeSource = Field(description="who is asked")
    modality: str = Field(
        default="medical image",
        description="what the images are, such as dermoscopy; part of the prompts",
    )
    max_length: int = Field(
        default=300, gt=0, description="a longer text is no short statement: kept as a failure"
    )
    min_per_class: int = Field(
        default=1, ge=0, description="a class with fewer candidates fails the stage by name"
    )


class LlmOrigin(BaseModel, frozen=True):
    """A concept that a language model wrote."""

    kind: Literal["llm"] = "llm"
    model: str
    prompt_sha256: str
    request_sha256: str
    recorded: bool = Field(description="true where the answer was replayed from a record")


class FileOrigin(BaseModel, frozen=True):
    """A concept that stood in a file."""

    kind: Literal["file"] = "file"
    file: str = Field(description="the file's name, without its folder")
    line: int = Field(ge=1, description="line, or position in the class's list")


Origin = Annotated[LlmOrigin | FileOrigin, Field(discriminator="kind")]


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


class AskFailure(BaseModel, frozen=True):
    """An answer, or one text of an answer or file, that could not be used, and why."""

    class_key: str = Field(description="`*` where a file's text was meant for all classes")
    request_sha256: str = Field(description="empty where the text stood in a file")
    reason: str
    raw: str = Field(description="the raw answer, cut to 2,000 characters")


class Usage(BaseModel, frozen=True):
    """What the language model was asked in the making of this artifact."""

    answers: int = Field(description="answers used, fresh or stored")
    prompt_tokens: int
    completion_tokens: int


class CandidateSet(JsonArtifact, frozen=True):
    """All candidates, each once, in the order in which they were first proposed."""

    kind: ClassVar[str] = "candidates"

    candidates: tuple[Candidate, ...]
    failures: tuple[AskFailure, ...] = ()
    usage: Usage = Usage(answers=0, prompt_tokens=0, completion_tokens=0)
    recorded: bool = Field(default=False, description="true where answers were replayed")
    source: str = Field(description="one line about where they come from, for cards and reports")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        ids = [c.concept_id for c in self.candidates]
        if len(set(ids)) != len(ids):
            raise ValueError("two candidates have the same normal form; merge their classes")
        return self
