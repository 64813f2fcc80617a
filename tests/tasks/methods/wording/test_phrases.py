"""How patterns are found: worked examples of what competes with what."""

import pytest

from curette.tasks.methods.wording.lexicon import LEXICON
from curette.tasks.methods.wording.phrases import Phrases


def found(patterns: str, text: str) -> list[tuple[str, str]]:
    """Return `(pattern, words)` of every hit; each pattern means itself."""
    phrases = Phrases({p.strip(): p.strip() for p in patterns.split(",")})
    return [(hit.meaning, hit.words) for hit in phrases.find(text.split())]


def test_the_longest_pattern_wins() -> None:
    assert found("hard, hard exudate*", "hard exudates and hard rims") == [
        ("hard exudate*", "hard exudates"),
        ("hard", "hard"),
    ]


def test_the_pattern_with_more_letters_wins_among_equal_lengths() -> None:
    assert found("surg*, surgeon, *oid, avoid*", "surgeon avoids surgery") == [
        ("surgeon", "surgeon"),
        ("avoid*", "avoids"),
        ("surg*", "surgery"),
    ]


def test_no_word_is_read_twice() -> None:
    assert found("red hair, hair line, line", "red hair line") == [
        ("red hair", "red hair"),
        ("line", "line"),
    ]


@pytest.mark.parametrize(
    ("pattern", "text", "hit"),
    [
        ("scal*", "scaly skin", "scaly"),
        ("*shaped", "kidneyshaped nucleus", "kidneyshaped"),
        ("loss of * polarity", "marked loss of nuclear polarity", "loss of nuclear polarity"),
        ("# mm", "over 6 mm wide", "6 mm"),
        ("tumour*", "tumors here", "tumors"),
    ],
)
def test_wildcards_numbers_and_spelling(pattern: str, text: str, hit: str) -> None:
    assert found(pattern, text) == [(pattern, hit)]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("scal*", "descaled"), ("*shaped", "shaped-up"), ("a b", "a"), ("# mm", "six mm")],
)
def test_what_does_not_match(pattern: str, text: str) -> None:
    assert found(pattern, text) == []


def test_a_pattern_may_not_start_anywhere() -> None:
    with pytest.raises(ValueError, match=r"'\* polarity' starts with any word"):
        Phrases({"* polarity": 1})


def test_no_pattern_of_the_lexicon_means_two_things() -> None:
    patterns = [pattern for category in LEXICON for pattern in category.patterns]
    assert "" not in patterns
    assert sorted(patterns) == sorted(set(patterns))
