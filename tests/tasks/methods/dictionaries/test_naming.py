"""A name is near, alone and borne out; chance is none of these."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float64

from curette.tasks.methods.dictionaries.dictionary import unit
from curette.tasks.methods.dictionaries.naming import (
    PROOF,
    chance_of_proof,
    nearest_statements,
    proofs,
)

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


@given(st.integers(0, 2**16))
def test_a_proof_is_the_share_of_pairs_in_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shown, said = generator.normal(size=(30, 1)), generator.integers(4, size=(30, 1)).astype(float)
    order = np.argsort(-shown[:, 0])
    pairs = [(said[i, 0], said[j, 0]) for i in order[:3] for j in order[15:]]
    by_hand = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    assert proofs(shown, said)[0, 0] == pytest.approx(by_hand)


def test_permuted_names_are_borne_out_no_more_often_than_chance_says() -> None:
    images = GENERATOR.normal(size=(400, 32))
    areas = proofs(images @ ATOMS.T, images @ statements(noise=0.2)[:8].T)
    assert (np.diag(areas) >= PROOF).all()
    chance = chance_of_proof(areas)
    assert chance is not None
    assert chance < 0.2
    permuted = [np.mean(np.diag(np.roll(areas, turn, axis=1)) >= PROOF) for turn in range(1, 8)]
    assert np.mean(permuted) == pytest.approx(chance)
