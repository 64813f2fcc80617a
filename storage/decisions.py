"""Which of a person's decisions, and of their edits, are a study's current ones."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, Field, ValidationError

from curette.schemas.artifact import JsonArtifact, Ref
from curette.storage import files
from curette.storage.store import ArtifactCorrupt, explained

A = TypeVar("A", bound=JsonArtifact)


class _Pointer(BaseModel, frozen=True, extra="forbid"):
    kind: str
    digest: str = Field(pattern=r"^[0-9a-f]{20}$")


@dataclass(frozen=True)
class DecisionShelf(Generic[A]):
    """One small file a study, `root/<kind>-of/<study>.json`: the address of what was decided.

    The decisions themselves are artifacts, the earlier ones too.
    """

    root: Path
    of: type[A]
    """What is decided: `Decisions` about concepts, or `Edits` of heads."""

    def get(self, study: str) -> Ref[A] | None:
        """Return what is a study's now, None where nobody has decided anything.

        Raises:
            ArtifactCorrupt: the file is damaged. A person's work is not passed over in silence.
        """
        place = self._place(study)
        return self._ref(place, files.read(self.root, place))

    def _ref(self, place: Path, content: bytes | None) -> Ref[A] | None:
        if content is None:
            return None
        kind = self.of.kind
        try:
            pointer = _Pointer.model_validate_json(content)
        except ValidationError:
            pointer = None
        if pointer is None or pointer.kind != kind:
            raise ArtifactCorrupt(
                f"{place} does not say which {kind} are current. Delete it and import the "
                f"sheet of {kind} again; all earlier {kind} are in {self.root / kind}."
            )
        return Ref(pointer.kind, pointer.digest)

    def change(self, study: str, change: Callable[[Ref[A] | None], Ref[A]]) -> Ref[A]:
        """Replace what is a study's by what `change` makes of it; of two changes none is lost.

        Args:
            study: its name.
            change: may be asked again, where another process was faster.

        Raises:
            ArtifactCorrupt: as in `get`.
            StoreError: the disk is full or read-only.
        """
        place = self._place(study)

        made: list[Ref[A]] = []

        def changed(content: bytes | None) -> bytes:
            ref = change(self._ref(place, content))
            made.append(ref)
            return _Pointer(kind=ref.kind, digest=ref.digest).model_dump_json().encode()

        with explained(self.root):
            files.change(self.root, place, changed)
        return made[-1]

    def _place(self, study: str) -> Path:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", study):
            raise ValueError(f"{study!r} is no name of a study")
        return self.root / f"{self.of.kind}-of" / f"{study}.json"
