"""A name is near, alone and borne out; chance is none of these."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64

from curette.tasks.methods.dictionaries.dictionary import unit
from curette.tasks.methods.dictionaries.naming import Proving, nearest_statements

GENERATOR = np.random.default_rng(0)
ATOMS = unit(GENERATOR.normal(size=(8, 32)))
GAP = 5 * unit(GENERATOR.normal(size=(1, 32)))
"""What all statements have in common and no image has."""
OTHERS = GENERATOR.normal(size=(40, 32))


def statements(noise: float) -> Float64[np.ndarray, "statement dim"]:
    """Return a statement near each atom, and others."""
    near = 6 * ATOMS + noise * GENERATOR.normal(size=ATOMS.shape)
    return unit(np.concatenate([near, OTHERS]) + GAP)


def test_each_atom_is_named_by_its_statement_across_the_gap() -> None:
    names = nearest_statements(ATOMS, statements(noise=0.2))
    assert names.statement.tolist() == list(range(8))
    assert names.fit.all()
    assert (names.p_value < 0.05).all()


def test_statements_that_mean_something_else_name_nothing() -> None:
    names = nearest_statements(ATOMS, unit(OTHERS + GAP))
    assert names.fit.mean() <= 0.25


def test_two_statements_equally_near_name_nothing_unless_they_say_the_same() -> None:
    across = unit(np.cross(np.eye(3)[[0]], np.eye(3)[[1]]))
    atom = np.eye(3)[[0]]
    apart = np.concatenate([atom + across, atom - across, -atom, -atom])
    assert nearest_statements(atom, apart).margin[0] == pytest.approx(0)
    twice = np.concatenate([atom + 0.01 * across, atom - 0.01 * across, -atom, -atom])
    assert nearest_statements(atom, twice).margin[0] > 0.5


def proving(
    shown: Float64[np.ndarray, "image atom"],
    scores: Float64[np.ndarray, "image text"],
    labels: np.ndarray,
    groups: np.ndarray | None = None,
) -> Proving:
    """Return what texts that say different things are held against."""
    texts = np.eye(scores.shape[1], 64)
    return Proving(
        shown, texts, scores, labels, np.arange(len(shown)) if groups is None else groups
    )


@given(st.integers(0, 2**16))
@settings(max_examples=10)
def test_a_proof_is_the_share_of_pairs_of_one_class_in_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shown = generator.normal(size=(50, 1))
    scores = generator.integers(4, size=(50, 6)).astype(float)
    labels = np.repeat([0, 1, 2], [30, 19, 1])

    def by_hand(text: int) -> float:
        said, classes = scores[:, text], (range(30), range(30, 49))
        mean = {i: float(np.mean(shown[list(c), 0])) for c in classes for i in c}
        top = sorted(mean, key=lambda i: mean[i] - shown[i, 0])[:5]
        pairs = [
            (said[i], said[j])
            for rows in classes
            for j in sorted(rows, key=lambda i: shown[i, 0])[: len(rows) // 2]
            for i in top
            if i in rows and j not in top
        ]
        return float(np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs]))

    found = proving(shown, scores, labels).of(np.array([2]))
    assert found.area[0] == pytest.approx(by_hand(2))
    others = [by_hand(text) for text in range(6) if text != 2]
    assert found.others[0] == pytest.approx(np.quantile(others, 0.95))
    assert found.low[0] <= found.area[0]


def test_a_text_that_only_follows_the_class_bears_nothing_out() -> None:
    labels = np.repeat([0, 1], 200)
    own = GENERATOR.normal(size=400)
    noise = GENERATOR.normal(size=(400, 30))
    follows, finds = 5 * labels + noise[:, 0], 5 * labels + own + 0.5 * noise[:, 1]
    scores = np.stack([follows, finds, *noise[:, 2:].T], axis=1)
    held = proving((5 * labels + own)[:, None], scores, labels)
    assert not held.of(np.array([0])).hold[0]
    assert held.of(np.array([1])).hold[0]


def test_copies_of_one_patients_image_bear_out_no_more_than_one() -> None:
    labels = np.repeat([0, 1], 40)
    shown, scores = GENERATOR.normal(size=(80, 1)), GENERATOR.normal(size=(80, 5))
    scores[:, 0] += shown[:, 0]
    patients = np.arange(80)
    once = proving(shown, scores, labels, patients).of(np.array([0]))
    four = [np.repeat(part, 4, axis=0) for part in (shown, scores, labels, patients)]
    copied = proving(*four).of(np.array([0]))
    assert copied.low[0] == pytest.approx(once.low[0])


def test_names_dealt_at_random_are_seldom_borne_out() -> None:
    images = GENERATOR.normal(size=(400, 32))
    said = statements(noise=0.2)
    labels, groups = np.arange(400) % 3, np.arange(400)
    held = Proving(images @ ATOMS.T, said, images @ said.T, labels, groups)
    assert held.of(np.arange(8)).hold.all()
    chance = held.chance(np.arange(8))
    assert chance is not None
    assert chance < 0.1


def test_a_class_of_one_image_and_a_text_without_another_prove_nothing() -> None:
    alone = proving(np.ones((2, 1)), np.ones((2, 3)), np.array([0, 1])).of(np.array([0]))
    assert np.isnan(alone.area[0])
    assert not alone.hold[0]
    only = proving(np.arange(20.0)[:, None], np.arange(20.0)[:, None], np.zeros(20, dtype=int))
    assert not only.of(np.array([0])).hold[0]
