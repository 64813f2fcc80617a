"""The report that a person reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, Field

from curette.schemas.artifact import Artifact
from curette.schemas.concepts import MOST_SHOWN


class ReportSpec(BaseModel, frozen=True, extra="forbid"):
    """How much the report shows."""

    concepts_per_class: int = Field(default=12, gt=0, le=MOST_SHOWN)
    images_per_concept: int = Field(default=4, ge=0, le=20)
    thumbnail_px: int = Field(default=96, ge=16, le=512)


@dataclass(frozen=True)
class Report(Artifact):
    """One HTML file that needs nothing from elsewhere, Great Expectations' page beside it."""

    kind: ClassVar[str] = "report"

    html: str
    data_docs: str
    """Great Expectations' page; the report links to it."""

    def write(self, folder: Path) -> None:
        """Write `report.html` and `data_docs.html`."""
        (folder / "report.html").write_text(self.html, encoding="utf-8")
        (folder / "data_docs.html").write_text(self.data_docs, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read both pages back."""
        return cls(
            html=(folder / "report.html").read_text(encoding="utf-8"),
            data_docs=(folder / "data_docs.html").read_text(encoding="utf-8"),
        )
