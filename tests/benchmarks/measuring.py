"""What benchmarks share: stop watches, targets, a table to read and a file to keep."""

import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from rich.console import Console
from rich.table import Table

T = TypeVar("T")

FILE = Path("benchmarks.json")
_WIDTH, _MOST_COLUMNS = 140, 9


class Target(NamedTuple):
    """What a number should reach, or not exceed."""

    relation: Literal[">=", "<="]
    bound: float

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}"

    def is_met_by(self, value: float) -> bool | None:
        """Return whether a number is good enough; None where none was measured."""
        if math.isnan(value):
            return None
        return value >= self.bound if self.relation == ">=" else value <= self.bound


def all_met(*parts: bool | None) -> bool | None:
    """Return False if any part is missed, else None if any is not known."""
    return False if False in parts else None if None in parts else True


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that some work took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Return the seconds of the best of some repeats, which a busy machine disturbs least."""
    return min(timed(work)[0] for _ in range(repeats))


def print_rows(title: str, rows: Sequence[NamedTuple]) -> None:
    """Print a table of rows, or of columns where rows would be too long to read."""
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    cells = [[_shown(value) for value in row] for row in rows]
    names = [name.replace("_", " ") for name in rows[0]._fields]
    if len(names) > _MOST_COLUMNS:
        cells = [[name, *values] for name, *values in zip(names, *cells, strict=True)]
        names = ["", *(str(i) for i in range(1, len(rows) + 1))]
    for name in names:
        table.add_column(name)
    for line in cells:
        table.add_row(*line)
    Console(width=_WIDTH).print(table)


def _shown(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def keep_rows(file: Path, name: str, rows: Sequence[NamedTuple]) -> None:
    """Write what one benchmark measured, with machine and time; what others measured stays."""
    kept: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    kept[name] = {
        "machine": machine_facts(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [
            {k: None if v != v else v for k, v in row._asdict().items()}  # noqa: PLR0124 - NaN
            for row in rows
        ],
    }
    file.write_text(json.dumps(kept, indent=1, allow_nan=False) + "\n")


def machine_facts() -> dict[str, Any]:
    """Return what a figure depends on besides the code."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
