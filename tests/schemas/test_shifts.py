"""Shifts that differ are called differently, and a study names each once."""

from pathlib import Path

import pytest

from curette.flows.study_file import load_study
from curette.schemas.settings.draw import ConfoundedShift
from curette.schemas.study import Study

_DEMO = Path(__file__).parents[2] / "flows" / "studies" / "demo.yaml"


def test_every_setting_of_a_confounded_shift_is_in_its_title() -> None:
    plain = {"kind": "confounded", "column": "ruler"}
    changes: tuple[dict[str, object], ...] = (
        {},
        {"column": "hair"},
        {"below": 3},
        {"correlation": 0.5},
        {"pairing": {"mel": True}},
        {"pairing": {"mel": False}},
        {"seed": 1},
    )
    titles = [ConfoundedShift.model_validate(plain | change).title for change in changes]
    assert len(set(titles)) == len(changes)
    assert titles[0] == "ruler, confounded at 0.9"
    assert titles[4] == "ruler, confounded at 0.9 (mel: yes)"


def test_a_shift_that_stands_there_twice_is_refused() -> None:
    demo = load_study(_DEMO)
    shift = {"kind": "confounded", "column": "ruler"}
    with pytest.raises(ValueError, match="stands there twice: ruler, confounded"):
        Study.model_validate(demo.model_dump() | {"shifts": [shift, shift]})
    other = Study.model_validate(demo.model_dump() | {"shifts": [shift, shift | {"seed": 1}]})
    assert len(other.shifts) == 2
