"""Pairs of which only one can be true, and which of the two goes."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curette.schemas.candidates import Candidate, FileOrigin, concept_id
from curette.tasks.screen.contrasts import contradict, without_negation
from curette.tasks.screen.gates.contradiction import find_contradictions, losers
from curette.tasks.screen.wording import content_stems


def candidate(text: str, classes: str = "a", origins: int = 1) -> Candidate:
    listed = tuple(FileOrigin(file=f"{text}{n}", line=1) for n in range(origins))
    return Candidate(text=text, classes=tuple(classes), origins=listed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("regular border", "irregular border"),
        ("symmetric shape", "an asymmetrical shape"),
        ("flat surface", "raised surface"),
        ("visible hairs", "no visible hairs"),
        ("pose no threat to health", "pose a threat to health"),
        ("hyperpigmented rim", "hypopigmented rim"),
        ("a single nodule", "multiple nodules"),
    ],
)
def test_opposites_and_negations_contradict_each_other(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        (found,) = find_contradictions([candidate(first), candidate(second)])
        assert (found.stronger, found.weaker, found.shared) == (0, 1, ("a",))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("red dots", "blue dots"),
        ("small dots", "large dots"),
        ("opacity on the left", "opacity on the right"),
        ("flat border", "raised centre"),
        ("no hairs", "without hairs"),
        ("regular border", "regular border with dots"),
        ("border", "no dots"),
        ("no flat border", "no raised border"),
        ("smooth or rough surface", "rough, scaly surface"),
        ("flat or raised rim", "flat rim"),
        ("uniform or non-uniform colour", "uniform colour"),
    ],
)
def test_what_one_image_can_show_side_by_side_does_not(one: str, other: str) -> None:
    assert find_contradictions([candidate(one), candidate(other)]) == []


def test_statements_of_different_classes_do_not_contradict_each_other() -> None:
    assert find_contradictions([candidate("flat rim", "a"), candidate("raised rim", "b")]) == []


def test_only_the_less_supported_goes_and_only_with_all_its_classes() -> None:
    def gone(*pair: Candidate) -> set[int]:
        return set(losers(pair, find_contradictions(pair)))

    assert gone(candidate("flat rim", "a", 1), candidate("raised rim", "ab", 2)) == {0}
    assert gone(candidate("flat rim", "ab", 1), candidate("raised rim", "a", 2)) == set()
    assert gone(candidate("flat rim", "a", 2), candidate("raised rim", "a", 2)) == set()


def test_one_that_goes_itself_drives_nobody_out() -> None:
    chain = [
        candidate("sunken rim", origins=3),
        candidate("raised rim", origins=2),
        candidate("no raised rim", origins=1),
    ]
    found = find_contradictions(chain)
    assert {(p.stronger, p.weaker) for p in found} == {(0, 1), (1, 2)}
    assert set(losers(chain, found)) == {1}


WORDS = ["no", "regular", "irregular", "flat", "raised", "border", "rim", "hair"]
TEXTS = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
    min_size=2,
    max_size=14,
    unique_by=concept_id,
)


@given(texts=TEXTS)
@settings(max_examples=150, deadline=None)
def test_looking_up_finds_what_comparing_every_pair_finds(texts: list[str]) -> None:
    def contradictory(one: str, other: str) -> bool:
        said = [content_stems(t) for t in (one, other)]
        if any(len(set(stems)) < len(stems) for stems in said):
            return False
        first, second = map(frozenset, said)
        a, b = first - second, second - first
        bare = without_negation(first)
        if any(contradict(x, y) for s in (first, second) for x in s for y in s):
            a = frozenset()
        if len(a) == len(b) == 1 and bare == first and without_negation(second) == second:
            (x,), (y,) = a, b
            if contradict(x, y):
                return True
        denied = [len(s) > len(bare) for s in (first, second)]
        return bool(bare) and bare == without_negation(second) and denied[0] is not denied[1]

    found = find_contradictions([candidate(t) for t in texts])
    expected = {
        (i, j)
        for (i, one), (j, other) in itertools.combinations(enumerate(texts), 2)
        if contradictory(one, other)
    }
    assert {tuple(sorted((p.stronger, p.weaker))) for p in found} == expected
