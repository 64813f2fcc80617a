"""What the studies of several findings on the same images say together."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field

from curette.schemas.artifact import Artifact, write_json
from curette.schemas.heads import HeadKind
from curette.schemas.images import Split
from curette.schemas.metrics import Estimate, IntervalMethod

FindingMetric = Literal["auroc", "average_precision", "balanced_accuracy"]


class SplitCount(BaseModel, frozen=True):
    """What is known of a finding in the images of one split."""

    present: int
    absent: int


class HeadValue(BaseModel, frozen=True):
    """One number of one kind of head, of a finding or of the mean over findings."""

    head: HeadKind
    name: FindingMetric
    value: Estimate


class FindingRow(BaseModel, frozen=True):
    """One finding: what there is of it, and what the heads of its study are worth."""

    key: str
    name: str
    counts: dict[Split, SplitCount]
    left_out: int = Field(description="images of which nobody says whether they show it")
    concepts: int = Field(description="how many its study selected")
    evaluation: str = Field(description="`kind/digest`")
    report: str = Field(description="`kind/digest`")
    readings: str = Field(default="", description="what is told of earlier readings of its labels")
    values: tuple[HeadValue, ...]


class FindingPair(BaseModel, frozen=True):
    """How often two findings meet in training images of which both are known."""

    first: str
    second: str
    both: int
    first_of_known: int = Field(description="images that show the first, whatever the second")
    known: int


class FindingsFacts(BaseModel, frozen=True):
    """Every number of the page about several findings."""

    study: str
    rows: tuple[FindingRow, ...]
    means: tuple[HeadValue, ...] = Field(description="over findings, each counting the same")
    together: tuple[FindingPair, ...]
    images: int = Field(description="test images of any finding")
    groups: int = Field(description="of theirs, which every resample draws for all findings")
    resamples: int
    confidence: float
    interval: IntervalMethod


@dataclass(frozen=True)
class Findings(Artifact):
    """One HTML file about the studies of several findings, and its numbers."""

    kind: ClassVar[str] = "findings"

    facts: FindingsFacts
    html: str

    def write(self, folder: Path) -> None:
        """Write `findings.json` and `findings.html`."""
        write_json(folder / "findings.json", self.facts.model_dump(mode="json"))
        (folder / "findings.html").write_text(self.html, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read both back."""
        facts = FindingsFacts.model_validate_json((folder / "findings.json").read_bytes())
        return cls(facts, (folder / "findings.html").read_text(encoding="utf-8"))
