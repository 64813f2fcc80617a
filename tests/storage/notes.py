"""A small artifact of two files. It stands alone: a process that is killed has little to import."""

from pathlib import Path
from typing import ClassVar

from curette.schemas.artifact import JsonArtifact, Recipe

RECIPE = Recipe(stage="select", code="c0de", spec={"k": 3})


class Note(JsonArtifact, frozen=True):
    kind: ClassVar[str] = "note"
    text: str

    def write(self, folder: Path) -> None:
        super().write(folder)
        (folder / "sub").mkdir()
        (folder / "sub" / "more.txt").write_text(self.text * 2)
