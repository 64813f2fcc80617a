"""What an answer says again, or in another language, is no candidate."""

import pytest

from curette.tasks.propose.usable import why_unusable

QUESTION = "What do nevi look like under a dermatoscope? For example a brown rim."


@pytest.mark.parametrize(
    ("texts", "again"),
    [
        (["brown spots", "Brown  spots.", "dots"], [1]),
        (["brown spots 1", "brown spots 2", "brown spots (3)"], [1, 2]),
        (["1. brown spots", "2) brown spots", "#3 brown spots"], [1, 2]),
        (["dots of 1 to 2 mm", "dots of 3 to 5 mm"], []),
        (["grade 2 edema", "grade 3 edema", "4 lobes", "5 lobes"], []),
    ],
)
def test_what_was_said_already_is_no_candidate(texts: list[str], again: list[int]) -> None:
    found = why_unusable([(text, "nv") for text in texts], QUESTION)
    assert [i for i, why in enumerate(found) if why] == again
    assert {found[i] for i in again} <= {"said already in the same answer"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("spots spots spots spots", "the same words again and again"),
        ("a dark rim, a dark rim, a dark rim", "the same words again and again"),
        (
            "brauner Fleck mit Rand",
            "in another language than the question: it is not English: 'mit'",
        ),
        ("红色的斑点", "in another language than the question: it is not in Latin script"),
        ("a brown rim", "copied from the question"),
        ("...", "no words in it"),
        ("first statement", "a place-holder, as in the form asked for"),
    ],
)
def test_what_says_nothing_of_its_own_keeps_its_reason(text: str, why: str) -> None:
    assert why_unusable([(text, "nv")], QUESTION)[0].startswith(why)


@pytest.mark.parametrize(
    "text", ["café au lait spots", "red, white and blue", "very very dark dots", "side by side"]
)
def test_other_statements_are_candidates(text: str) -> None:
    assert why_unusable([(text, "nv")], QUESTION) == [""]


def test_what_is_said_of_another_class_is_no_repeat() -> None:
    assert why_unusable([("round", "nv"), ("round", "mel")], QUESTION) == ["", ""]
