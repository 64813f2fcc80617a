"""What is English, and what is not."""

import csv
from pathlib import Path

import pytest

from curette.tasks.methods.language import why_not_english


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("красные точки", "is not in Latin script: 'красные'"),
        ("红色的斑点", "is not in Latin script: '红色的斑点'"),
        ("lesión con bordes irregulares", "is not English: 'con'"),
        ("brauner Fleck mit Rand", "is not English: 'mit'"),
        ("taches rouges avec des bords flous", "is not English: 'avec', 'des'"),
        ("rode vlekken met een rand", "is not English: 'met', 'een'"),
    ],
)
def test_another_script_or_language_is_named_by_its_words(text: str, reason: str) -> None:
    why = why_not_english(text)
    assert why is not None
    assert why.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "en face view of the disc",
        "café au lait spots",
        "β-sheet like folds",
        "cells of about 10 μm",
        "naïve B cells with a thin rim",
        "peau d'orange skin",
        "dots",
    ],
)
def test_english_that_borrows_words_passes(text: str) -> None:
    assert why_not_english(text) is None


@pytest.mark.parametrize("name", ["development", "held_out"])
def test_every_written_statement_is_english(name: str) -> None:
    with (Path(__file__).parents[1] / "screen" / f"statements_{name}.csv").open(
        encoding="utf-8"
    ) as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    assert [text for text in texts if why_not_english(text)] == []
