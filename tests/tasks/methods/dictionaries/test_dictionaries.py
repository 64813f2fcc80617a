"""Every way of learning directions: the same again, in any order, of unit length, and worth it."""

import numpy as np
import pytest
import torch
from jaxtyping import Float32

from curette.tasks.methods.dictionaries import METHODS
from curette.tasks.methods.dictionaries.autoencoder import sparse_codes
from curette.tasks.methods.dictionaries.dictionary import Dictionary, unit
from curette.tasks.methods.dictionaries.learning import learn
from curette.tasks.methods.dictionaries.worth import (
    active,
    alive,
    explained,
    matched_cosine,
)

PLANTED = unit(np.random.default_rng(7).normal(size=(6, 16)))


def images(count: int = 300, seed: int = 0) -> Float32[np.ndarray, "image dim"]:
    """Return unit vectors, each of one planted direction and a little noise."""
    generator = np.random.default_rng(seed)
    of = generator.integers(len(PLANTED), size=count)
    noisy = PLANTED[of] + 0.05 * generator.normal(size=(count, 16))
    return unit(noisy).astype(np.float32)


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def atoms(method: str, vectors: Float32[np.ndarray, "image dim"]) -> Dictionary:
    return learn(METHODS[method], vectors, size=6, active=2, seed=1).dictionary


def test_any_order_gives_the_same_unit_atoms_and_they_give_back_what_was_planted(
    method: str,
) -> None:
    vectors = images()
    shuffled = vectors[np.random.default_rng(3).permutation(len(vectors))]
    learned = learn(METHODS[method], vectors, size=6, active=2, seed=1)
    one, other = learned.dictionary, atoms(method, shuffled)
    np.testing.assert_array_equal(one.atoms, other.atoms)
    np.testing.assert_array_equal(one.readers, other.readers)
    for rows in (one.atoms, one.readers):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-9)
    assert explained(one, learned.centred(images(100, seed=1))) > 0.65
    assert alive(one, learned.centred(vectors)).all()


def test_clusters_point_to_what_was_planted() -> None:
    found = atoms("kmeans", images())
    about_mean = unit(PLANTED - images().mean(axis=0))
    assert matched_cosine(found.atoms, about_mean) > 0.98
    assert active(found, images().astype(np.float64)) == 1


def test_fewer_vectors_than_atoms_are_refused() -> None:
    with pytest.raises(ValueError, match="6 atoms cannot be learned from 5"):
        atoms("kmeans", images(5))


def test_matching_is_the_best_of_all_matchings() -> None:
    one = unit(np.random.default_rng(0).normal(size=(3, 5)))
    assert matched_cosine(one, one[[2, 0, 1]]) == pytest.approx(1)
    # greedy matching would take .9 + .0, where .8 + .8 is to be had
    first, second = np.array([[1.0, 0.0], [0.8, 0.6]]), np.array([[0.8, 0.6], [1.0, 0.0]])
    assert matched_cosine(first, second) == pytest.approx(1)


def test_what_is_explained_is_about_the_mean_of_each_dimension() -> None:
    still = Dictionary(np.eye(2), np.eye(2), lambda v: np.tile(v.mean(axis=0), (len(v), 1)))
    assert explained(still, np.array([[1.0, 5.0], [3.0, 5.0]])) == pytest.approx(0)


def test_an_autoencoder_uses_as_many_atoms_an_image_as_it_may() -> None:
    activations = torch.tensor([[3.0, 1.0, 2.0, -1.0], [-2.0, -1.0, 5.0, -3.0]])
    expected = torch.tensor([[3.0, 0.0, 2.0, 0.0], [0.0, 0.0, 5.0, 0.0]])
    assert torch.equal(sparse_codes(activations, 2), expected)
