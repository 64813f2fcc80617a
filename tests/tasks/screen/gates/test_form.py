"""What is one whole statement, and what is not."""

import csv
from pathlib import Path

import pytest

from curette.tasks.screen.gates.form import Form, why_malformed

SPEC = Form()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("red\u202edots", "holds the control character U+202E"),
        ("red\x00dots", "holds the control character U+0000"),
        ("red d\ufffdts", "holds the control character U+FFFD"),
        ("Is there a mass?", "is a question, not a statement"),
        ("does the lesion show dots", "is a question, not a statement"),
        ("what color is it", "is a question, not a statement"),
        ("color can vary depending on", "was cut off: 'on'"),
        ("wart-like (often", "was cut off: 'an open bracket'"),
        ("red, blue, or white spots; scales; crusts", "is 3 statements in one"),
        ("1. red dots 2. blue dots", "is 2 statements in one"),
        ("Red dots. Blue veil.", "is 2 statements in one"),
        ("scales, crusts and ulcers", "lists 3 things in one"),
        ("dots", None),
    ],
)
def test_a_malformed_text_is_named(text: str, reason: str | None) -> None:
    why = why_malformed(text, SPEC)
    assert (why.reason if why else None) == reason


@pytest.mark.parametrize(
    "text",
    [
        "irregular, notched border",
        "red, brown or black spots",
        "large, round, dark purple nucleus",
        "multiple, scattered, brown dots",
        "scales and crusts",
        "is the size of a pea",
        "can be seen in the center",
        "en face view of the disc",
        "café au lait spots",
        "β-sheet like folds",
        "cells of about 10 μm",
        "naïve B cells with a thin rim",
        "peau d'orange skin",
        "1.5 mm wide rim",
        "what looks like a ring",
        "vs. the other eye, a pale disc",
    ],
)
def test_statements_of_every_shape_pass(text: str) -> None:
    assert why_malformed(text, SPEC) is None


def test_how_many_things_make_a_list_is_the_studys() -> None:
    assert why_malformed("scales, crusts and ulcers", Form(max_listed=3)) is None
    assert why_malformed("scales and crusts", Form(max_listed=1)) is not None


@pytest.mark.parametrize("name", ["development", "held_out"])
def test_no_visible_statement_is_malformed_but_for_questions(name: str) -> None:
    with (Path(__file__).parents[1] / f"statements_{name}.csv").open(encoding="utf-8") as file:
        visible = [r["text"] for r in csv.DictReader(file) if r["visual"] == "1"]
    found = {t: why for t in visible if (why := why_malformed(t, SPEC)) and "?" not in t}
    assert not found
    assert len(visible) > 90
