from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curette.tasks.validate.leakage import class_name_in, conflicts, twins

NAMES = ("melanocytic nevus", "mole", "basal cell carcinoma", "BCC")


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "", None]), st.sampled_from(["x", "y"]))))
def test_conflicts_are_the_things_whose_set_of_places_has_two_members(
    rows: list[tuple[str | None, str]],
) -> None:
    things, places = [t for t, _ in rows], [p for _, p in rows]
    expected = {t for t in things if t and len({p for s, p in rows if s == t}) > 1}
    found = conflicts(things, places)
    assert {c.thing for c in found} == expected
    assert all(things.index(c.thing) == c.row for c in found)
    assert all(sum(c.places.values()) == things.count(c.thing) for c in found)


def test_conflicts_refuse_columns_of_different_length() -> None:
    with pytest.raises(ValueError, match="shorter"):
        conflicts(["a", "b"], ["train"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Melanocytic Nevus with a brown rim", "melanocytic nevus"),
        ("typical of moles", "mole"),
        ("basal-cell  carcinoma's border", "basal cell carcinoma"),
        ("as in a bcc.", "BCC"),
        ("ｍｏｌｅ", "mole"),  # full-width letters
    ],
)
def test_class_names_are_found_as_whole_words(text: str, name: str) -> None:
    assert class_name_in(text, NAMES) == name


@pytest.mark.parametrize(
    "text", ["molecular pattern", "basal pigment in one cell", "nevus-like", "", "a b-c-c d"]
)
def test_parts_of_class_names_are_not_class_names(text: str) -> None:
    assert class_name_in(text, NAMES) is None


@pytest.mark.parametrize("name", ["-", "", "1", "A", "3 b"])
def test_a_name_that_tells_nothing_is_found_nowhere(name: str) -> None:
    assert class_name_in("a brown - dot of 1 mm, 3 b", (name,)) is None


def test_twins_are_all_pairs_at_or_above_the_cosine() -> None:
    vectors = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = {
        (i, j) for i, j in combinations(range(30), 2) if float(vectors[i] @ vectors[j]) >= 0.9
    }
    found = twins(vectors, 0.9)
    assert expected
    assert {(t.first, t.second) for t in found} == expected
    assert all(t.cosine == pytest.approx(vectors[t.first] @ vectors[t.second]) for t in found)


def test_one_vector_has_no_twin() -> None:
    assert twins(np.ones((1, 1), dtype=np.float32), 0.5) == []
