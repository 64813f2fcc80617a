"""What tells who a patient is does not pass the gate; what is measured of them does."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from curette.tasks.validate.privacy import privacy_findings

COUNT = 120
GROUPS = pd.Series([f"g{i // 2}" for i in range(COUNT)])
RNG = np.random.default_rng(0)


def found(name: str, values: Any) -> list[str]:
    findings = privacy_findings(name, pd.Series(values), GROUPS)
    return [kind for kind, said in findings.items() if said]


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("patient_name", ["Ada", "Bob"] * 60, "people?"),
        ("PatientName", ["x"] * COUNT, "people?"),
        ("referring_physician", ["A", "B"] * 60, "people?"),
        ("seen_by", ["Dr. Quill", "Dr. Ink"] * 60, "people?"),
        ("who", ["Quill^Ada", "Ink^Bob"] * 60, "people?"),
        ("dob", ["unknown"] * COUNT, "days?"),
        ("birth", ["1970-03-04"] * COUNT, "days?"),
        ("taken", ["04.03.2021"] * COUNT, "days?"),
        ("taken", ["3/14/2021"] * COUNT, "days?"),
        ("taken", [20210304.0] * COUNT, "days?"),
        ("taken", pd.date_range("2021-01-01", periods=COUNT), "days?"),
        ("MRN", [1, 2] * 60, "records?"),
        ("patient_id", [1, 2] * 60, "records?"),
        ("zip", [1010] * COUNT, "records?"),
        ("code", [400_000 + 7919 * (i // 2) for i in range(COUNT)], "records?"),
        ("code", [f"K{i // 2}" for i in range(COUNT)], "records?"),
        ("contact", ["ada@example.org"] * COUNT, "records?"),
        ("__url__", ["/home/me/data/train.tar"] * COUNT, "records?"),
        ("comment", [f"seen with a rim on the left side, {i} mm" for i in range(COUNT)], "prose?"),
        ("comment", ["x" * 101, *["-"] * 119], "prose?"),
    ],
)
def test_what_tells_who_it_is(name: str, values: Any, kind: str) -> None:
    assert kind in found(name, values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", RNG.integers(0, 90, COUNT)),
        ("age", [None, 41.0] * 60),
        ("sex", ["f", "m"] * 60),
        ("diameter_mm", RNG.random(COUNT) * 9),
        ("site_name", ["back", "upper arm"] * 60),
        ("birth_year", RNG.integers(1930, 2010, COUNT)),
        ("year", ["2019", "2020"] * 60),
        ("localization", ["upper part of the left forearm, near the elbow"] * COUNT),
        ("device", ["Dermlite 4", "Foto X"] * 60),
        ("skin_tone", ["I", "VI"] * 60),
        ("hair", [True, False] * 60),
        ("case_type", ["in", "out"] * 60),
        ("nothing", [None] * COUNT),
    ],
)
def test_what_is_measured_of_many(name: str, values: Any) -> None:
    assert found(name, values) == []


def test_findings_quote_nobody() -> None:
    said = privacy_findings("who", pd.Series(["Quill^Ada"] * COUNT), GROUPS)
    assert said["people?"] == "who: 120 values look like names of people"
