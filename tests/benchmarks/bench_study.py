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

from tests.benchmarks.measuring import Target, print_rows

PROJECT = Path(__file__).parents[2]
STUDIES = PROJECT / "flows" / "studies"
BESIDE, CACHED = Target("<=", 0.05), Target("<=", 15)


class Row(NamedTuple):
    """One stage of one run, or what the run took beside its stages."""

    run: str
    name: str
    state: str
    seconds: float
    share: float  # of the whole command, from start to exit
    target: str = ""
    met: bool | None = None


def main() -> list[Row]:
    """Time the demo study, cold and cached."""
    return time_study(STUDIES / "demo.yaml")


def time_study(study: Path) -> list[Row]:
    """Time a study twice in a store of its own, cold and cached."""
    with tempfile.TemporaryDirectory() as store:
        return [row for run in ("cold", "cached") for row in _rows(study, run, Path(store))]


def _rows(study: Path, run: str, store: Path) -> list[Row]:
    command = [sys.executable, "-m", "curette.flows.cli", "run", str(study), "--store", str(store)]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--json"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    whole = time.perf_counter() - start
    stages = json.loads(done.stdout)["stages"]
    rows = [Row(run, s["name"], s["state"], s["seconds"], s["seconds"] / whole) for s in stages]
    seconds = whole - sum(row.seconds for row in rows)
    share = seconds / whole
    beside = Row(run, "beside the stages", "", seconds, share)
    command_row = Row(run, "whole command", "", whole, 1.0)
    if run == "cold":
        beside = beside._replace(target=f"share {BESIDE}", met=BESIDE.is_met_by(share))
    else:
        command_row = command_row._replace(target=f"{CACHED} s", met=CACHED.is_met_by(whole))
    return [*rows, beside, command_row]


if __name__ == "__main__":
    print_rows("study", main())
