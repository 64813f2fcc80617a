"""Everything that computes takes the same number of threads, whenever it was imported."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np  # noqa: F401 - brings the BLAS that is asked for its threads
import pytest
from threadpoolctl import threadpool_info

from curette.schemas.machine import Machine
from curette.tasks.methods.threads import cores_shared, one_thread_of_blas, usual_threads


def test_openmps_own_variable_is_heeded_where_the_machine_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Machine().threads is None
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert usual_threads() == 5
    for nothing in ("", "0", "4,2"):
        monkeypatch.setenv("OMP_NUM_THREADS", nothing)
        assert usual_threads() == len(os.sched_getaffinity(0))


LATE = """
from curette.schemas.machine import Machine
from curette.tasks.methods.threads import cores_shared, share_cores, usual_threads

with cores_shared(Machine(threads=1)) as said:  # MKL takes no more than there are cores
    import {first}
    import {second}

    print(said, usual_threads(), torch.get_num_threads(), faiss.omp_get_max_threads())
with cores_shared(Machine()) as said:
    print(said, usual_threads(), torch.get_num_threads(), faiss.omp_get_max_threads())
for threads in (3, 1, 2):
    said = share_cores(Machine(threads=threads))
    print(said, torch.get_num_threads(), faiss.omp_get_max_threads())
"""


@pytest.mark.parametrize(
    ("first", "second", "usual"), [("torch", "faiss", "2"), ("faiss", "torch", None)]
)
def test_what_is_imported_later_in_any_order_takes_the_machines_threads_until_they_end(
    first: str, second: str, usual: str | None
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    if usual:
        environment["OMP_NUM_THREADS"] = usual
    done = subprocess.run(
        [sys.executable, "-c", LATE.format(first=first, second=second)],
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    after = usual or str(len(os.sched_getaffinity(0)))
    within, ended, *asked = done.stdout.splitlines()
    assert within == "1 1 1 1"
    assert ended == " ".join([after] * 4)
    assert asked == ["3 3 3", "1 1 1", "2 2 2"]


def blas() -> set[int]:
    return {x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"}


def test_numpys_own_threads_are_the_machines_and_come_back() -> None:
    before = blas()
    with cores_shared(Machine(threads=3)):
        assert blas() == {3}
    assert blas() == before
    assert before != {3}, "or the test could not fail"


def test_linear_algebra_keeps_to_one_thread_and_has_its_own_again_however_often() -> None:
    for threads in (3, 2):
        with cores_shared(Machine(threads=threads)):
            with one_thread_of_blas():
                assert blas() == {1}
            assert blas() == {threads}
