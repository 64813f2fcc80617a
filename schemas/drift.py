"""How new images differ from those that a head learned from, and what that does to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field

from curette.schemas.artifact import Artifact, write_json
from curette.schemas.metrics import Estimate

AskedOf = Literal["head", "pool", "picture"]
TestName = Literal["statements", "vectors", "beyond"]


class DriftTest(BaseModel, frozen=True):
    """One of the tests of which any finds drift."""

    name: TestName = Field(
        description="statements: the largest change of any; vectors: maximum mean discrepancy; "
        "beyond: more images unlike all training images than among validation images"
    )
    p_value: float
    corrected: float = Field(description="for being several (Holm)")


class StatementDrift(BaseModel, frozen=True):
    """What became of one statement's score."""

    text: str
    asked_of: AskedOf = Field(
        description="the head weighs it; it passed the study's screen; it is about how the "
        "picture was taken"
    )
    above: float = Field(description="chance that a new image scores higher than a known one")
    p_value: float
    family_p_value: float = Field(description="corrected for all statements (Westfall and Young)")
    moved: float = Field(description="change of the mean, in standard deviations")
    by_mix: float = Field(description="what of it the estimated change of the class mix explains")


class ClassShare(BaseModel, frozen=True):
    """How frequent a class is."""

    class_key: str
    before: float = Field(description="share of the labelled validation images")
    now: Estimate = Field(description="estimated share of the new images")


class DriftFacts(BaseModel, frozen=True):
    """What a batch of new images was held against, and what was found."""

    study: str
    batch: str = Field(description="what the new images are called")
    published: str = Field(description="`kind/digest` of what the head learned from")
    probe: str = Field(description="`kind/digest` of the heads")
    checked_on: str = Field(description="date, UTC")
    images: int
    groups: int
    known: int = Field(description="images left out: the study has their bytes already")
    refused: int = Field(description="files that are no image that the study would take")
    reference_images: int
    reference_groups: int
    level: float
    tests: tuple[DriftTest, ...]
    statements: tuple[StatementDrift, ...] = Field(description="the most changed first")
    told: tuple[int, ...] = Field(
        description="places of changed statements that are named, none of them alike"
    )
    mix: tuple[ClassShare, ...]
    unlike_before: float = Field(description="share of validation images unlike training images")
    unlike_now: float
    accuracy_before: Estimate = Field(description="measured on the validation images")
    accuracy_now: Estimate = Field(description="expected, without labels")
    accuracy_change: Estimate
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether any test found drift."""
        return any(test.corrected <= self.level for test in self.tests)


@dataclass(frozen=True)
class Drift(Artifact):
    """The facts and the page about them."""

    kind: ClassVar[str] = "drift"

    facts: DriftFacts
    html: str

    def write(self, folder: Path) -> None:
        """Write `drift.json` and `drift.html`."""
        write_json(folder / "drift.json", self.facts.model_dump(mode="json"))
        (folder / "drift.html").write_text(self.html, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read both back."""
        return cls(
            facts=DriftFacts.model_validate_json((folder / "drift.json").read_bytes()),
            html=(folder / "drift.html").read_text(encoding="utf-8"),
        )
