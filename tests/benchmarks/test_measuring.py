"""Claims about the benchmarks' own bookkeeping."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.benchmarks.measuring import Target, all_met, keep_rows, print_rows


class Row(NamedTuple):
    name: str
    seconds: float
    met: bool | None


def test_one_benchmark_leaves_what_others_measured(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.json"
    keep_rows(file, "first", [Row("a", 1.0, True)])
    keep_rows(file, "second", [Row("b", np.nan, None)])
    keep_rows(file, "first", [Row("c", 2.0, False)])
    kept = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert kept["first"]["rows"] == [{"name": "c", "seconds": 2.0, "met": False}]
    assert kept["second"]["rows"] == [{"name": "b", "seconds": None, "met": None}]
    assert kept["second"]["machine"]["cores"] >= 1


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(">=", 4), 4.0, True),
        (Target(">=", 4), 3.9, False),
        (Target("<=", 60), 60.0, True),
        (Target("<=", 60), 61.0, False),
        (Target("<=", 60), np.nan, None),
    ],
)
def test_a_target_is_met_at_its_bound_and_unknown_without_a_number(
    target: Target, value: float, met: bool | None
) -> None:
    assert target.is_met_by(value) is met


def test_a_miss_outweighs_what_is_not_known() -> None:
    assert all_met(True, True) is True
    assert all_met(True, None) is None
    assert all_met(None, False) is False


def test_many_columns_are_printed_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    class Wide(NamedTuple):
        a: float
        b: float
        c: float
        d: float
        e: float
        f: float
        g: float
        h: float
        i: float
        last_of_all: float

    print_rows("wide", [Wide(*map(float, range(10))), Wide(*map(float, range(10, 20)))])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 40
    assert any("last of all" in line and "9" in line and "19" in line for line in lines)
