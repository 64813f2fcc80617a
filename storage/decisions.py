"""Which of a person's decisions, and of their edits, are a study's current ones."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, Field, ValidationError

from curette.schemas.artifact import JsonArtifact, Ref, write_json
from curette.storage.store import ArtifactCorrupt, alone, explained

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
        kind = self.of.kind
        try:
            pointer = _Pointer.model_validate_json(place.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            pointer = None
        if pointer is None or pointer.kind != kind:
            raise ArtifactCorrupt(
                f"{place} does not say which {kind} are current. Delete it and import the "
                f"sheet of {kind} again; all earlier {kind} are in {self.root / kind}."
            )
        return Ref(pointer.kind, pointer.digest)

    def change(self, study: str, change: Callable[[Ref[A] | None], Ref[A]]) -> Ref[A]:
        """Replace what is a study's by what `change` makes of it; one process at a time.

        Raises:
            ArtifactCorrupt: as in `get`.
            StoreError: the disk is full or read-only.
        """
        place = self._place(study)
        with explained(self.root), alone(place.with_suffix(".lock")):
            ref = change(self.get(study))
            bench = place.with_name(f".{study}-{uuid.uuid4().hex}")
            try:
                write_json(bench, {"kind": ref.kind, "digest": ref.digest})
                bench.replace(place)
            finally:
                bench.unlink(missing_ok=True)
        return ref

    def _place(self, study: str) -> Path:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", study):
            raise ValueError(f"{study!r} is no name of a study")
        return self.root / f"{self.of.kind}-of" / f"{study}.json"
