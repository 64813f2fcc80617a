"""Which decisions are a study's current ones."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from curette.schemas.artifact import Ref, write_json
from curette.schemas.review import Decisions
from curette.storage.store import ArtifactCorrupt, alone, explained

Current = Ref[Decisions] | None


class _Pointer(BaseModel, frozen=True, extra="forbid"):
    kind: Literal["decisions"]
    digest: str = Field(pattern=r"^[0-9a-f]{20}$")


@dataclass(frozen=True)
class DecisionShelf:
    """One small file a study, `root/decisions-of/<study>.json`: the address of its decisions.

    The decisions themselves are artifacts, the earlier ones too.
    """

    root: Path

    def get(self, study: str) -> Current:
        """Return a study's current decisions, None where nobody has decided anything.

        Raises:
            ArtifactCorrupt: the file is damaged. A person's work is not passed over in silence.
        """
        place = self._place(study)
        try:
            pointer = _Pointer.model_validate_json(place.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise ArtifactCorrupt(
                f"{place} does not say which decisions are current. Delete it and import the "
                f"review sheet again; all earlier decisions are in {self.root / Decisions.kind}."
            ) from None
        return Ref(pointer.kind, pointer.digest)

    def change(self, study: str, change: Callable[[Current], Ref[Decisions]]) -> Ref[Decisions]:
        """Replace a study's decisions by what `change` makes of them; one process at a time.

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
        return self.root / "decisions-of" / f"{study}.json"
