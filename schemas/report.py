"""The report that a person reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from curette.schemas.artifact import Artifact


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
