"""What a watched dataset was like when it was last looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curette.storage import files
from curette.storage.store import explained

_OUTSIDE = b"curette.outside"


@dataclass(frozen=True)
class SeenRow:
    """One row of a dataset's source, without its label."""

    size: int
    mtime_ns: int
    content: str
    """sha256 of the image's bytes; empty where only a vector is known."""
    row: str
    """sha256 of what its table says of it."""


@dataclass(frozen=True)
class Seen:
    """A dataset as it was."""

    outside: str
    """State that is cheap to ask for: of files' names, sizes and times, or of a revision."""
    rows: Mapping[str, SeenRow] = field(default_factory=dict)
    """Name -> row."""


@dataclass(frozen=True)
class WatchShelf:
    """`root/watched/<study>.parquet`."""

    root: Path

    def get(self, study: str) -> Seen | None:
        """Return what was kept of a study's dataset; None where nothing was, or it is damaged."""
        try:
            content = files.read(self.root, self._place(study))
            if content is None:
                return None
            table = pq.read_table(pa.BufferReader(content))
            outside = (table.schema.metadata or {})[_OUTSIDE].decode()
            columns = [table[name].to_pylist() for name in ("size", "mtime_ns", "content", "row")]
            names = table["name"].to_pylist()
        except (pa.ArrowInvalid, KeyError):
            return None
        return Seen(outside, dict(zip(names, map(SeenRow, *columns), strict=True)))

    def keep(self, study: str, seen: Seen) -> None:
        """Keep it in place of what was there.

        Raises:
            StoreError: the disk is full or read-only.
        """
        rows = list(seen.rows.values())
        columns = {
            "name": pa.array(list(seen.rows), pa.string()),
            "size": pa.array([r.size for r in rows], pa.int64()),
            "mtime_ns": pa.array([r.mtime_ns for r in rows], pa.int64()),
            "content": pa.array([r.content for r in rows], pa.string()),
            "row": pa.array([r.row for r in rows], pa.string()),
        }
        table = pa.table(columns).replace_schema_metadata({_OUTSIDE: seen.outside.encode()})
        written = pa.BufferOutputStream()
        pq.write_table(table, written)
        with explained(self.root):
            files.replace(self.root, self._place(study), written.getvalue().to_pybytes())

    @property
    def studies(self) -> list[str]:
        """The studies of whose datasets anything was kept."""
        there = files.listed(self.root, self.root / "watched")
        return [place.stem for place in there if place.suffix == ".parquet"]

    def _place(self, study: str) -> Path:
        return self.root / "watched" / f"{study}.parquet"
