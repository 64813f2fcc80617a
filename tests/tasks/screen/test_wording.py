"""Which statements say the same in the same words, in other words, and which do not."""

import pytest

from curette.tasks.methods.wording.words import stem, words
from curette.tasks.screen.contrasts import contrast
from curette.tasks.screen.synonyms import meaning
from curette.tasks.screen.wording import core, plain_form, without_template


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("irregular border", "Borders are irregular."),
        ("scaly, red patch", "red scaly patches"),
        ("blue-white veil", "a blue white veil"),
        ("grey colour", "gray color"),
        ("keratosis", "keratoses"),
        ("irregular and notched border", "notched, irregular borders"),
        ("brown or black in color", "black or brown in color"),
        ("brown or black in color", "color brown or black"),
        ("brown or black spots", "spots that are black or brown"),
        ("irregular in shape", "irregular shape"),
        ("round in shape", "round"),
        ("small in size", "small size"),
        ("dark brown lesion", "dark brown areas"),
        ("red and white area", "areas of white and red"),
        ("opacity of the left lung", "left lung opacity"),
        ("dark centre, pale rim", "pale rim with a dark centre"),
        ("a red, scaly patch with an irregular border", "irregular border and scaly red patch"),
    ],
)
def test_order_fillers_joints_and_implied_attributes_do_not_count(one: str, other: str) -> None:
    assert plain_form(one) == plain_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dark centre with pale rim", "pale centre with dark rim"),
        ("asymmetric shape, irregular border", "irregular shape, asymmetric border"),
        ("dots around vessels", "vessels around dots"),
        ("crust without scale", "scale without crust"),
        ("red patch", "red plaque"),
        ("no vessels", "vessels"),
        ("irregular shape", "irregular color"),
        ("irregular shape", "irregular"),
        ("2 nuclei", "3 nuclei"),
        ("raised, hard", "raised, red"),
        ("left lung opacity", "right lung opacity"),
        ("brown lesion on the face", "brown lesion on the arm"),
        ("color", "shape"),
    ],
)
def test_what_exchanged_or_other_words_change_is_not_the_same(one: str, other: str) -> None:
    assert plain_form(one, meaning) != plain_form(other, meaning)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tiny reddish dots", "small red dots"),
        ("asymmetric border", "border asymmetry"),
        ("multiple nodules", "several nodules"),
        ("scaly surface", "flaky surface"),
        ("circular shape", "rounded"),
    ],
)
def test_synonyms_are_one_word(one: str, other: str) -> None:
    assert plain_form(one) != plain_form(other)
    assert plain_form(one, meaning) == plain_form(other, meaning)


def test_the_core_is_what_is_found_whatever_it_is_said_of() -> None:
    assert core("blue structures or pigmentation", meaning) == core("blue coloration", meaning)
    assert core("irregular shape", meaning) == frozenset()  # of what is it irregular?
    assert core("dots around vessels", meaning) == frozenset()


def test_a_contrast_is_the_same_both_ways() -> None:
    left, right = ([stem(w) for w in words(t)] for t in ("left lung", "right lung"))
    assert contrast(left, right) == ("left", "right")
    assert contrast(right, left) == ("right", "left")
    assert contrast(left, left) == ()


def test_the_words_that_all_statements_begin_with_do_not_count() -> None:
    known = [f"This is a photo of thing{n}" for n in range(25)]
    texts = ["This is a photo of red dots", "red dots", "This is a photo of", "This is red"]
    assert without_template(texts, known) == ["red dots", "red dots", texts[2], "This is red"]
    assert without_template(texts, known[:10]) == texts
