"""What was checked before anything is published, and the bundle that passed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field

from schemas.artifact import Artifact, CuretteError, JsonArtifact, Ref, write_json
from schemas.concepts import ConceptSet
from schemas.embeddings import StudyEmbeddings
from schemas.images import ImageDataset
from schemas.index import ConceptIndex
from schemas.screened import ScreenedSet


class ValidationSpec(BaseModel, frozen=True, extra="forbid"):
    """Thresholds of the gate. Integrity checks (leaks, ids, labels) have none: they must hold."""

    min_images_per_class: int = Field(
        default=10, ge=1, description="training images a class needs; fewer rejects"
    )
    max_class_imbalance: float = Field(
        default=20, ge=1, description="largest over smallest class; more is a warning"
    )
    min_concepts_per_class: int = Field(
        default=1, ge=1, description="a class with fewer concepts rejects"
    )
    near_duplicate_cosine: float = Field(
        default=0.98, gt=0, le=1, description="selected concepts at least this alike reject"
    )
    min_score_std: float = Field(
        default=1e-4, ge=0, description="a concept whose score varies less is constant"
    )


class Check(BaseModel, frozen=True):
    """One expectation and what came of it."""

    suite: Literal["images", "concepts", "scores"]
    expectation: str = Field(description="what must hold, in words")
    column: str = ""
    severity: Literal["critical", "warning"]
    outcome: Literal["passed", "failed", "error"] = Field(
        description="`error`: the check itself broke, which counts as failed"
    )
    unexpected_count: int = 0
    examples: tuple[str, ...] = ()
    observed: str = ""


@dataclass(frozen=True)
class ValidationReport(Artifact):
    """Every check with its outcome; kept whether or not the gate opened."""

    kind: ClassVar[str] = "validation-report"

    checks: tuple[Check, ...]
    results: dict[str, Any] = field(repr=False)
    """Great Expectations' own results, suite -> JSON."""
    docs: dict[str, str] = field(repr=False)
    """Great Expectations' Data Docs: relative path -> page; they open offline."""

    @property
    def failed(self) -> tuple[Check, ...]:
        """The critical checks that did not pass."""
        return tuple(c for c in self.checks if c.severity == "critical" and c.outcome != "passed")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The warnings that did not pass."""
        return tuple(c for c in self.checks if c.severity == "warning" and c.outcome != "passed")

    def write(self, folder: Path) -> None:
        """Write `checks.json`, `results.json` and the pages below `data_docs/`."""
        write_json(folder / "checks.json", [c.model_dump() for c in self.checks])
        write_json(folder / "results.json", self.results)
        for name, page in self.docs.items():
            path = folder / "data_docs" / name
            if not path.resolve().is_relative_to((folder / "data_docs").resolve()):
                raise ValueError(f"the page {name} leaves its folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the checks, results and pages back."""
        checks = _Checks.model_validate_json(
            b'{"checks":' + (folder / "checks.json").read_bytes() + b"}"
        )
        results = _Results.model_validate_json(
            b'{"results":' + (folder / "results.json").read_bytes() + b"}"
        )
        docs = folder / "data_docs"
        pages = {
            p.relative_to(docs).as_posix(): p.read_text(encoding="utf-8")
            for p in sorted(docs.rglob("*"))
            if p.is_file()
        }
        return cls(checks=checks.checks, results=results.results, docs=pages)


class _Checks(BaseModel, frozen=True):
    checks: tuple[Check, ...]


class _Results(BaseModel, frozen=True):
    results: dict[str, Any]


class ConceptDatasetRejected(CuretteError):
    """The gate stayed shut (exit code 3); the report was saved first."""


class ValidatedConceptDataset(JsonArtifact, frozen=True):
    """The references to everything that passed the gate together.

    Only `validate` makes one, so a stage that asks for it cannot be run on unchecked data.
    """

    kind: ClassVar[str] = "validated-concept-dataset"

    dataset: str
    screened: str
    concepts: str
    embeddings: str
    index: str
    report: str

    @property
    def dataset_ref(self) -> Ref[ImageDataset]:
        """The images."""
        return Ref(ImageDataset.kind, self.dataset)

    @property
    def screened_ref(self) -> Ref[ScreenedSet]:
        """The candidates, kept and dropped."""
        return Ref(ScreenedSet.kind, self.screened)

    @property
    def concepts_ref(self) -> Ref[ConceptSet]:
        """The selected concepts."""
        return Ref(ConceptSet.kind, self.concepts)

    @property
    def embeddings_ref(self) -> Ref[StudyEmbeddings]:
        """The vectors of images and candidate texts."""
        return Ref(StudyEmbeddings.kind, self.embeddings)

    @property
    def index_ref(self) -> Ref[ConceptIndex]:
        """The indices."""
        return Ref(ConceptIndex.kind, self.index)

    @property
    def report_ref(self) -> Ref[ValidationReport]:
        """What was checked."""
        return Ref(ValidationReport.kind, self.report)
