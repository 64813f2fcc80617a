"""A column that a study names is read as it is, whatever it is called and wherever it has gaps."""

import numpy as np
import pandas as pd
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.metadata import UnusableColumn, value_name
from curette.schemas.settings.draw import DomainShift
from curette.tasks.methods.metadata import name_values, read_column


def _named(values: pd.Series, column: str = "x", below: float | None = None) -> list[object]:
    return list(name_values(column, values, below))


@pytest.mark.parametrize("column", ["site_id", "hospitalId", "ID"])
def test_an_identifier_of_a_site_is_a_column_like_any_other(column: str) -> None:
    sites = pd.Series([f"hospital {i}" for i in range(40)])
    assert _named(sites, column) == sites.tolist()
    assert _named(pd.Series([1_234_567, 1_234_568]), column) == ["1234567", "1234568"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([True, None, False], dtype=object),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series(["True", "", "False"]),
        pd.Series(["true", " unknown ", "FALSE"]),
    ],
)
def test_truth_values_are_yes_and_no_where_some_are_missing(values: pd.Series) -> None:
    assert _named(values) == ["yes", None, "no"]
    shift = {"kind": "domain", "column": "x", "train_on": [True]}
    assert DomainShift.model_validate(shift).train_on == ("yes",)


def test_what_a_study_says_and_what_a_column_says_are_named_alike() -> None:
    said = (3, 2.0, 0.1, 1_234_567, True, "face")
    shift = DomainShift.model_validate({"kind": "domain", "column": "x", "train_on": said})
    assert shift.train_on == ("3", "2", "0.1", "1234567", "yes", "face")
    assert [value_name(v) for v in (np.int64(3), np.float64(2), np.bool_(False))] == [
        "3",
        "2",
        "no",
    ]


def test_a_number_has_one_name_however_it_is_written() -> None:
    assert _named(pd.Series(["01", "1", "1.0", "x"]))[:2] == ["01", "1"]
    assert _named(pd.Series(["01", "1", "1.0", "02"])) == ["1", "1", "1", "2"]


def test_text_is_not_below_anything() -> None:
    assert _named(pd.Series(["60", "59.5", None]), below=60) == ["60 and over", "under 60", None]
    with pytest.raises(StudyError, match="column x is not of numbers, so nothing in it is below 3"):
        _named(pd.Series(["a", "b"]), below=3)
    read = read_column("x", pd.Series(["a", "b"]), [3])
    assert isinstance(read, UnusableColumn)
    assert "not of numbers" in read.reason


def test_numbers_that_identify_are_not_binned() -> None:
    read = read_column("site_id", pd.Series(range(30)), None)
    assert not isinstance(read, UnusableColumn)
    assert read.names[:3] == ("0", "1", "2")
