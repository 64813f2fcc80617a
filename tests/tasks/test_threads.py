"""torch and FAISS are told the same number of threads, in whichever order they were imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.machine import Machine
from tasks.threads import usual_threads

SCRIPT = """
import {first}
import {second}
from schemas.machine import Machine
from tasks.threads import share_cores

for threads in (3, 1, 2):
    said = share_cores(Machine(threads=threads))
    print(said, torch.get_num_threads(), faiss.omp_get_max_threads())
"""


@pytest.mark.parametrize(("first", "second"), [("torch", "faiss"), ("faiss", "torch")])
def test_both_take_the_machines_threads_whichever_was_imported_first(
    first: str, second: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first=first, second=second)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["3 3 3", "1 1 1", "2 2 2"]


def test_openmps_own_variable_is_heeded_where_the_machine_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Machine().threads is None
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert usual_threads() == 5
    for nothing in ("", "0", "4,2"):
        monkeypatch.setenv("OMP_NUM_THREADS", nothing)
        assert usual_threads() == len(os.sched_getaffinity(0))
