"""Which statements say the same, and what becomes of their links."""

import numpy as np
import pytest

from curette.schemas.candidates import Candidate, FileOrigin
from curette.tasks.screen.contrasts import contrast
from curette.tasks.screen.duplicates import exact_twins, merge_twins, near_twins
from curette.tasks.screen.words import stem, words


def candidate(text: str, classes: str = "a", line: int = 1) -> Candidate:
    origin = FileOrigin(file="list.txt", line=line)
    return Candidate(text=text, classes=tuple(classes), origins=(origin,))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("irregular border", "Borders are irregular."),
        ("scaly, red patch", "red scaly patches"),
        ("blue-white veil", "a blue white veil"),
        ("grey colour", "gray color"),
        ("keratosis", "keratoses"),
        ("irregular and notched border", "notched, irregular borders"),
    ],
)
def test_word_order_fillers_punctuation_and_plurals_do_not_count(one: str, other: str) -> None:
    assert len(exact_twins([candidate(one), candidate(other)])) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dark centre with pale rim", "pale centre with dark rim"),
        ("dots around vessels", "vessels around dots"),
        ("crust without scale", "scale without crust"),
        ("red patch", "red plaque"),
        ("no vessels", "vessels"),
    ],
)
def test_what_exchanged_words_change_is_not_the_same(one: str, other: str) -> None:
    assert exact_twins([candidate(one), candidate(other)]) == {}


def test_the_most_often_proposed_then_the_shortest_then_the_first_stays() -> None:
    crowd = [
        candidate("the borders are irregular", "a"),
        candidate("border, irregular", "a"),
        candidate("irregular border", "a"),
        candidate("an irregular border", "ab"),
    ]
    assert {t.kept for t in exact_twins(crowd).values()} == {2}
    twice = crowd[0].model_copy(
        update={"origins": (*crowd[0].origins, FileOrigin(file="b", line=2))}
    )
    assert {t.kept for t in exact_twins([twice, *crowd[1:3]]).values()} == {0}
    assert {t.kept for t in exact_twins([crowd[2], candidate("border irregular")]).values()} == {0}


def test_the_kept_one_takes_over_classes_in_the_datasets_order_and_origins() -> None:
    crowd = [
        candidate("red patch", "c", 1),
        candidate("blue dot", "b", 2),
        candidate("patch, red", "ab", 3),
    ]
    merged = merge_twins(crowd, exact_twins(crowd), "abc")
    assert [(c.text, c.classes) for c in merged] == [
        ("red patch", ("a", "b", "c")),
        ("blue dot", ("b",)),
    ]
    assert [o.line for o in merged[0].origins if isinstance(o, FileOrigin)] == [1, 3]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("opacity of the left lung", "opacity of the right lung"),
        ("regular border", "irregular border"),
        ("symmetric shape", "asymmetrical shape"),
        ("hyperpigmented patch", "hypopigmented patch"),
        ("visible vessels", "no visible vessels"),
        ("sharp margins", "blurred margins"),
    ],
)
def test_statements_that_exclude_each_other_do_not_share_classes(one: str, other: str) -> None:
    crowd = [candidate(one, "a"), candidate(other, "b")]
    twins = near_twins(crowd, np.ones((2, 4), np.float32), 0.95)
    assert len(twins) == 1
    assert next(iter(twins.values())).contrast
    assert len(merge_twins(crowd, twins, "ab")[0].classes) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dark brown colour", "deep brown colour"),
        ("tiny red dots", "small reddish dots"),
        ("notched border", "scalloped border"),
        ("no hair", "absence of hair"),
        ("white and red area", "red and white areas"),
    ],
)
def test_other_near_duplicates_do(one: str, other: str) -> None:
    crowd = [candidate(one, "a"), candidate(other, "b")]
    twins = near_twins(crowd, np.ones((2, 4), np.float32), 0.95)
    assert merge_twins(crowd, twins, "ab")[0].classes == ("a", "b")


def test_a_contrast_is_the_same_both_ways() -> None:
    left, right = ([stem(w) for w in words(t)] for t in ("left lung", "right lung"))
    assert contrast(left, right) == ("left", "right")
    assert contrast(right, left) == ("right", "left")
    assert contrast(left, left) == ()
