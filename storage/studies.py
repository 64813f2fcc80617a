"""Studies as they were run last, so that one can be run again by its name."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curette.storage import files
from curette.storage.store import explained, made_private


@dataclass(frozen=True)
class StudyShelf:
    """One file a study, `root/studies/<name>.json`: its settings, paths made absolute."""

    root: Path

    def keep(self, name: str, settings: Mapping[str, Any]) -> None:
        """Keep a study's settings, in the place of earlier ones of its name.

        Raises:
            StoreError: the disk is full or read-only.
        """
        content = f"{json.dumps(settings, indent=1)}\n".encode()
        with explained(self.root):
            made_private(self.root)
            files.replace(self.root, self._place(name), content)

    def get(self, name: str) -> bytes | None:
        """Return a study's settings as JSON; None where none of that name was run here."""
        return files.read(self.root, self._place(name))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all studies that were run here."""
        return tuple(place.stem for place in files.listed(self.root, self._folder))

    @property
    def _folder(self) -> Path:
        return self.root / "studies"

    def _place(self, name: str) -> Path:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
            raise ValueError(f"{name!r} is no name of a study")
        return self._folder / f"{name}.json"
