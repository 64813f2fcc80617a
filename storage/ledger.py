"""Who has read which test labels: lines are added and never changed."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from schemas.evaluation import TestLook
from storage.store import ArtifactCorrupt, explained


@dataclass(frozen=True)
class TestLedger:
    """One file a set of test labels, `root/test-looks/<digest>.jsonl`, a JSON line a look.

    The digest is of the labels' content: whoever splits the same images alike again, under
    whatever settings, adds to the same file. Lines are added by one write each, so studies that
    look at a time lose none; and before the labels are loaded, so no look goes unrecorded.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    root: Path

    def record(self, look: TestLook) -> None:
        """Add a look.

        Raises:
            StoreError: the disk is full or read-only, so the labels must not be read.
        """
        place = self._place(look.labels)
        with explained(self.root):
            place.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                # The first end of line closes a line that a crash tore.
                os.write(file, f"\n{look.model_dump_json()}\n".encode())
                os.fsync(file)
            finally:
                os.close(file)

    def looks(self, labels: str) -> tuple[TestLook, ...]:
        """Return all looks at these labels, in the order in which they were recorded.

        A line that a crash tore is left out: its writer did not live to read the labels.

        Raises:
            ArtifactCorrupt: a whole line says nothing; a look is not passed over in silence.
        """
        place = self._place(labels)
        if not place.is_file():
            return ()
        lines = place.read_text(encoding="utf-8", errors="replace").split("\n")
        return tuple(_read(place, line) for line in lines if line.endswith("}"))

    def _place(self, labels: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{8,64}", labels):
            raise ValueError(f"{labels!r} is no digest of test labels")
        return self.root / "test-looks" / f"{labels}.jsonl"


def _read(place: Path, line: str) -> TestLook:
    try:
        return TestLook.model_validate_json(line)
    except ValidationError:
        raise ArtifactCorrupt(
            f"{place} has a line that tells of no look at test labels: {line[:80]}. Put the file "
            "back as it was; without it nobody knows how often these labels were read."
        ) from None
