"""What was checked before anything is published, and the bundle that passed."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, TypeAdapter

from curette.schemas.artifact import Artifact, JsonArtifact, Ref, write_json
from curette.schemas.candidates import CandidateSet
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import StudyEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.priors import Priors
from curette.schemas.screened import ScreenedSet

SuiteName = Literal["images", "metadata", "classes", "concepts", "scores"]


class Check(BaseModel, frozen=True):
    """One expectation and what came of it."""

    suite: SuiteName
    expectation: str = Field(description="what must hold, in words")
    remedy: str = Field(default="", description="why it usually does not hold, and what to do then")
    column: str = ""
    severity: Literal["critical", "warning"]
    outcome: Literal["passed", "failed", "error"] = Field(
        description="`error`: the check itself broke, which counts as failed"
    )
    unexpected_count: int = 0
    examples: tuple[str, ...] = Field(default=(), description="the first five")
    observed: str = ""


@dataclass(frozen=True)
class ValidationReport(Artifact):
    """Every check with its outcome; kept whether or not the gate opened."""

    kind: ClassVar[str] = "validation-report"

    checks: tuple[Check, ...]
    results: dict[str, Any] = field(repr=False)
    """Great Expectations' own results, suite -> JSON, without run ids and times."""
    data_docs: str = field(repr=False)
    """Great Expectations' Data Docs: one HTML page that needs nothing from elsewhere."""

    @property
    def failed(self) -> tuple[Check, ...]:
        """The critical checks that did not pass."""
        return tuple(c for c in self.checks if c.severity == "critical" and c.outcome != "passed")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The warnings that did not pass."""
        return tuple(c for c in self.checks if c.severity == "warning" and c.outcome != "passed")

    def write(self, folder: Path) -> None:
        """Write `checks.json`, `results.json` and `data_docs.html`."""
        write_json(folder / "checks.json", [c.model_dump(mode="json") for c in self.checks])
        write_json(folder / "results.json", self.results)
        (folder / "data_docs.html").write_text(self.data_docs, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the checks, results and the page back."""
        checks = TypeAdapter(tuple[Check, ...])
        return cls(
            checks=checks.validate_json((folder / "checks.json").read_bytes()),
            results=json.loads((folder / "results.json").read_bytes()),
            data_docs=(folder / "data_docs.html").read_text(encoding="utf-8"),
        )


class ValidatedConceptDataset(JsonArtifact, frozen=True):
    """The references to everything that passed the gate together.

    Only `validate` makes one, so a stage that asks for it cannot be run on unchecked data.
    """

    kind: ClassVar[str] = "validated-concept-dataset"

    dataset: str
    candidates: str
    screened: str
    concepts: str
    priors: str
    embeddings: str
    index: str
    report: str

    @property
    def dataset_ref(self) -> Ref[ImageDataset]:
        """The images."""
        return Ref(ImageDataset.kind, self.dataset)

    @property
    def candidates_ref(self) -> Ref[CandidateSet]:
        """Everything that was proposed."""
        return Ref(CandidateSet.kind, self.candidates)

    @property
    def screened_ref(self) -> Ref[ScreenedSet]:
        """The candidates, kept and dropped."""
        return Ref(ScreenedSet.kind, self.screened)

    @property
    def concepts_ref(self) -> Ref[ConceptSet]:
        """The selected concepts."""
        return Ref(ConceptSet.kind, self.concepts)

    @property
    def priors_ref(self) -> Ref[Priors]:
        """What is believed of every kept concept and class."""
        return Ref(Priors.kind, self.priors)

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
