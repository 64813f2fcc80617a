"""The report that a person reads."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from curette.schemas.artifact import Artifact

BESIDE = "report_files"
"""The folder beside the report that holds thumbnails where the page cannot."""


@dataclass(frozen=True)
class Report(Artifact):
    """One HTML file that needs nothing from elsewhere, Great Expectations' page beside it.

    Where there are too many images for one file, their thumbnails lie in a folder beside it.
    """

    kind: ClassVar[str] = "report"

    html: str
    data_docs: str
    """Great Expectations' page; the report links to it."""
    sheets: Mapping[str, bytes] = field(default_factory=dict)
    """File name -> sheet of thumbnails that the page names; empty where it holds them itself."""

    def write(self, folder: Path) -> None:
        """Write `report.html`, `data_docs.html`, and the sheets into `report_files`."""
        (folder / "report.html").write_text(self.html, encoding="utf-8")
        (folder / "data_docs.html").write_text(self.data_docs, encoding="utf-8")
        if self.sheets:
            (folder / BESIDE).mkdir()
        for name, content in self.sheets.items():
            (folder / BESIDE / name).write_bytes(content)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read both pages and the sheets back."""
        return cls(
            html=(folder / "report.html").read_text(encoding="utf-8"),
            data_docs=(folder / "data_docs.html").read_text(encoding="utf-8"),
            sheets={p.name: p.read_bytes() for p in sorted((folder / BESIDE).glob("*.jpg"))},
        )

    @property
    def in_one_file(self) -> str:
        """The report with its sheets in it, however large."""
        html = self.html
        for name, content in self.sheets.items():
            data = f"data:image/jpeg;base64,{b64encode(content).decode()}"
            html = html.replace(f"url({BESIDE}/{name})", f"url({data})")
        return html
