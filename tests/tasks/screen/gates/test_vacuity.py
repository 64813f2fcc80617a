"""Statements that are true of every image, or of every class."""

import pytest

from curette.schemas.candidates import Candidate, FileOrigin
from curette.tasks.screen.gates.vacuity import both_ways, hedge, says_it_of_every_class


def candidate(classes: str, origins: int) -> Candidate:
    listed = tuple(FileOrigin(file=f"{n}.txt", line=1) for n in range(origins))
    return Candidate(text="brown", classes=tuple(classes), origins=listed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("may or may not be raised", "may or may not"),
        ("varies from person to person", "person to person"),
        ("can look different", "can look different"),
        ("colour can vary", "can vary"),
        ("may be of any shape", "any shape"),
        ("the look depends on the stage", "depends on"),
        ("no specific pattern", "no specific"),
        ("raised or not", "or not"),
    ],
)
def test_what_takes_itself_back_is_named(text: str, words: str) -> None:
    assert hedge(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "nuclei vary in size",
        "the two halves look different",
        "many different colors",
        "shades of brown varying across the lesion",
        "no hair",
        "may be seen as a white ring",
    ],
)
def test_variety_that_an_image_shows_is_none(text: str) -> None:
    assert hedge(text) == ""


def test_only_what_was_said_of_each_of_three_classes_or_more_says_nothing() -> None:
    assert says_it_of_every_class(candidate("abc", 3), 3)
    assert not says_it_of_every_class(candidate("abc", 2), 3)  # a list for all classes at once
    assert not says_it_of_every_class(candidate("ab", 5), 3)
    assert not says_it_of_every_class(candidate("ab", 2), 2)


@pytest.mark.parametrize(
    ("text", "opposites"),
    [
        ("symmetrical or asymmetrical", ("symmetrical", "asymmetrical")),
        ("centre may be raised or flat", ("raised", "flat")),
        ("surface is smooth, or it is rough", ("smooth", "rough")),
        ("small or large", ("small", "large")),
        ("uniform or non-uniform in colour", ("uniform", "non uniform")),
        ("red or blue dots", ()),
        ("brown or red, and not brown alone", ()),
        ("round or oval outline", ()),
        ("rough surface, irregular or notched border", ()),
        ("smooth centre with a dark border of two or more rough scales", ()),
    ],
)
def test_one_thing_or_its_opposite_says_nothing(text: str, opposites: tuple[str, ...]) -> None:
    assert both_ways(text) == opposites
