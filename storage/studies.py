"""Studies as they were run last, so that one can be run again by its name."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        place = self._place(name)
        with explained(self.root):
            made_private(self.root)
            place.parent.mkdir(exist_ok=True)
            bench = place.with_name(f".{name}-{uuid.uuid4().hex}")
            try:
                bench.write_text(f"{json.dumps(settings, indent=1)}\n", encoding="utf-8")
                bench.replace(place)
            finally:
                bench.unlink(missing_ok=True)

    def file(self, name: str) -> Path | None:
        """Return the file of a study's settings; None where none of that name was run here."""
        place = self._place(name)
        return place if place.is_file() else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all studies that were run here."""
        return tuple(sorted(p.stem for p in self._folder.glob("[!.]*.json")))

    @property
    def _folder(self) -> Path:
        return self.root / "studies"

    def _place(self, name: str) -> Path:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
            raise ValueError(f"{name!r} is no name of a study")
        return self._folder / f"{name}.json"
