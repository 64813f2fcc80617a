"""Seconds a stage of the demo study, and what the run costs beside its stages.

Runs `curette run` twice in a store of its own: cold, then with every stage remembered.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
STUDY = PROJECT / "flows" / "studies" / "demo.yaml"


class Row(NamedTuple):
    """One stage of one run, or what the run took beside its stages."""

    run: str
    name: str
    state: str
    seconds: float
    share: float  # of the whole command, from start to exit


def main() -> list[Row]:
    """Time the demo study, cold and cached."""
    with tempfile.TemporaryDirectory() as store:
        return [row for run in ("cold", "cached") for row in _rows(run, Path(store))]


def _rows(run: str, store: Path) -> list[Row]:
    command = [sys.executable, "-m", "flows.cli", "run", str(STUDY), "--store", str(store)]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--json"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    whole = time.perf_counter() - start
    stages = json.loads(done.stdout)["stages"]
    rows = [Row(run, s["name"], s["state"], s["seconds"], s["seconds"] / whole) for s in stages]
    beside = whole - sum(row.seconds for row in rows)
    return [
        *rows,
        Row(run, "beside the stages", "", beside, beside / whole),
        Row(run, "whole command", "", whole, 1.0),
    ]
