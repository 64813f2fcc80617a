"""What every artifact is: a kind, a layout version, bytes in a folder, and its recipe."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, Field

A_co = TypeVar("A_co", bound="Artifact", covariant=True)


class CuretteError(Exception):
    """A mistake that the person at the keyboard can mend; its text says what, where and how."""


class StudyError(CuretteError):
    """The study asks for something that its data or settings cannot give (exit code 2)."""


class ConceptDatasetRejected(CuretteError):
    """The gate stayed shut (exit code 3); the report was saved first."""


class Artifact(ABC):
    """The immutable output of one stage.

    An artifact knows the *shape* of its bytes. Their place, identity and history belong to the
    store, so a new artifact never touches `storage/`.
    """

    kind: ClassVar[str]
    """The store's folder for it; lower case with dashes."""
    formerly: ClassVar[tuple[str, ...]] = ()
    """Kinds that it was once; `read` still reads them."""
    layout: ClassVar[int] = 1
    """Version of the files; bump it when they change shape."""

    def parts(self) -> "tuple[Ref[Artifact], ...]":
        """Return the artifacts that this one is incomplete without, saved beside it."""
        return ()

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write every payload file below `folder`; equal artifacts write equal bytes."""

    @classmethod
    @abstractmethod
    def read(cls, folder: Path) -> Self:
        """Read and re-validate what `write` wrote."""


class JsonArtifact(BaseModel, Artifact, frozen=True):
    """An artifact that is one small JSON document."""

    def write(self, folder: Path) -> None:
        """Write `<kind>.json`, keys sorted, so that equal artifacts give equal bytes."""
        write_json(folder / f"{self.kind}.json", self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and re-validate `<kind>.json`."""
        kinds = (cls.kind, *cls.formerly)
        kind = next((kind for kind in kinds if (folder / f"{kind}.json").is_file()), cls.kind)
        return cls.model_validate_json((folder / f"{kind}.json").read_bytes())


@dataclass(frozen=True)
class Ref(Generic[A_co]):
    """The address of one artifact: small, hashable, safe to pass between Prefect tasks.

    A dataclass and not a pydantic model: the runtime shape checker rejects generic models as
    task results.
    """

    kind: str
    digest: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.digest}"

    @staticmethod
    def parse(text: str) -> "Ref[Any]":
        """Return the reference that `str` wrote as `kind/digest`."""
        kind, _, digest = text.partition("/")
        return Ref(kind, digest)


class Recipe(BaseModel, frozen=True):
    """What made an artifact: the stage, its code, its settings and its inputs."""

    stage: str
    code: str = Field(description="digest of the stage's code without comments and docstrings")
    spec: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(
        default_factory=dict, description="input name -> `kind/digest` of the artifact"
    )


class PayloadFile(BaseModel, frozen=True):
    """One file of an artifact as it was when it was saved."""

    sha256: str
    size_bytes: int


class Manifest(BaseModel, frozen=True):
    """The history of one artifact, written last; where it exists the artifact is complete."""

    kind: str
    layout: int
    digest: str
    files: dict[str, PayloadFile]
    parts: tuple[str, ...] = Field(default=(), description="`kind/digest` it is incomplete without")
    recipe: Recipe
    code_commit: str | None = Field(description="git commit of curette, `+dirty` when changed")
    lock_sha256: str | None = Field(description="digest of uv.lock")
    python: str
    platform: str
    created_at: str = Field(description="UTC, ISO 8601")


def write_json(path: Path, content: Mapping[str, Any] | list[Any]) -> None:
    """Write sorted JSON in UTF-8, so that equal contents give equal bytes."""
    text = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
