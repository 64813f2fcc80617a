"""All benchmarks: `make bench`, or `python -m tests.benchmarks [NAME ...]`.

The large ones, which take minutes each, are apart: `make bench-large`, or `--large`.

Prints a table each and writes `benchmarks.json` with the machine's name. Figures are of one run on
one machine: compare the ratios, not the seconds.
"""

import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import flows  # noqa: F401 - first of ours: how threads wait is settled before torch is imported

NAMES = (
    "bench_study",
    "bench_embedding",
    "bench_selection",
    "bench_index",
    "bench_probe",
    "bench_few_shots",
    "bench_folds",
)
LARGE = ("bench_memory", "bench_large_selection")


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all."""
    console = Console(width=140)
    machine = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    console.print(" · ".join(str(v) for v in machine.values()))
    results: dict[str, list[dict[str, Any]]] = {}
    for name in LARGE if names == ["--large"] else names or NAMES:
        rows = importlib.import_module(f"tests.benchmarks.{name}").main()
        results[name] = [row._asdict() for row in rows]
        if rows:
            console.print(_table(name, results[name]))
    file = Path("benchmarks.json")
    file.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    console.print(f"written to {file.resolve()}")


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=name.removeprefix("bench_"), title_justify="left")
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main(sys.argv[1:])
