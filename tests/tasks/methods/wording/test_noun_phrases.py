"""Noun phrases stand between stop words, verbs and punctuation, without loose ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curette.tasks.methods.wording.noun_phrases import MOST_WORDS, noun_phrases


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Dark globules are often scattered irregularly.", ["dark globules"]),
        ("A blue-white veil, an area of haze\nas if seen through ground glass.",
         ["blue-white veil", "area", "haze", "seen", "ground glass"]),
        ("The border looks notched and may resemble CT signs of 3 kinds.",
         ["border", "CT signs", "kinds"]),
        ("# White scar-like areas\n\nThick vessels (fine twigs)",
         ["white scar-like areas", "thick vessels", "fine twigs"]),
        ("one very long dark brown leaf-like pigmented area", ["brown leaf-like pigmented area"]),
        ("... --- 12", []),
    ],
)  # fmt: skip
def test_phrases_of_sentences(text: str, phrases: list[str]) -> None:
    assert list(noun_phrases(text).values()) == phrases


@given(st.text(max_size=200))
def test_no_text_is_too_odd_and_each_phrase_stands_once(text: str) -> None:
    found = noun_phrases(text)
    assert all(1 <= len(phrase.split()) <= MOST_WORDS for phrase in found.values())
    assert noun_phrases(f"{text}\n\n{text}") == found
