"""Neighbours are the nearest ones, and leave of the objective what coverage needs."""

import numpy as np
import pytest

from curette.tasks.methods.selection import neighbours
from curette.tasks.methods.selection.facility_location import SelectionProblem, select_greedily
from curette.tasks.methods.selection.neighbours import cosines, nearest_cosines, neighbours_counted


def clustered(n: int, seed: int, dim: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(n // 40, 2), dim))
    vectors = centres[rng.integers(len(centres), size=n)] + 0.7 * rng.normal(size=(n, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "EXACT_SEARCH", 10)


@pytest.mark.parametrize("seed", range(3))
def test_small_pools_get_exactly_the_largest_cosines_above_zero(seed: int) -> None:
    vectors = clustered(200, seed)
    found = nearest_cosines(vectors, 12).toarray()
    similarity = vectors @ vectors.T
    for i, row in enumerate(similarity):
        nearest = np.argsort(-row, kind="stable")[:12]
        nearest = nearest[row[nearest] > 0]
        assert set(np.flatnonzero(found[i])) == set(nearest)
        np.testing.assert_allclose(found[i, nearest], row[nearest], atol=1e-6)


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize("seed", range(3))
def test_cells_find_nearly_all_neighbours_and_true_cosines(seed: int) -> None:
    vectors = clustered(2000, seed)
    found, exact = nearest_cosines(vectors, 10), cosines(vectors)
    np.testing.assert_allclose(
        found.data, exact[np.repeat(np.arange(2000), np.diff(found.indptr)), found.indices], 1e-5
    )
    best = np.sort(exact, axis=1)[:, -10:].sum()
    assert found.sum() > 0.95 * best


@pytest.mark.usefixtures("cells")
def test_the_same_vectors_have_the_same_neighbours() -> None:
    vectors = clustered(500, 0)
    once, again = nearest_cosines(vectors, 8), nearest_cosines(vectors, 8)
    np.testing.assert_array_equal(once.toarray(), again.toarray())


@pytest.mark.parametrize("limit", [10, 1000])
def test_everyone_is_a_neighbour_of_itself_and_best_even_among_copies(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "EXACT_SEARCH", limit)
    vectors = np.concatenate([np.repeat(clustered(1, 0), 30, axis=0), clustered(50, 1)])
    found = nearest_cosines(vectors, 5)
    assert found.sorted_indices().has_canonical_format, "no one is named twice"
    assert (found.diagonal() > 0).all()
    np.testing.assert_allclose(found.diagonal(), found.max(axis=1).toarray(), rtol=1e-6)
    assert np.diff(found.indptr).max() == 5


def test_opposed_vectors_are_no_neighbours() -> None:
    axes = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    np.testing.assert_array_equal(nearest_cosines(axes, 6).toarray(), np.eye(6))


def test_as_many_neighbours_as_candidates_select_what_the_exact_similarity_selects() -> None:
    vectors = clustered(80, 0)
    utility = np.random.default_rng(0).random(80)
    exact = SelectionProblem.of_size(cosines(vectors), utility, 12, 0.7)
    whole = SelectionProblem.of_size(nearest_cosines(vectors, 80), utility, 12, 0.7)
    np.testing.assert_array_equal(select_greedily(whole).indices, select_greedily(exact).indices)


@pytest.mark.parametrize("seed", range(3))
def test_few_neighbours_reach_nearly_the_exact_objective(seed: int) -> None:
    vectors = clustered(1200, seed)
    exact = SelectionProblem.of_size(cosines(vectors), np.zeros(1200), 24, 1.0)
    few = SelectionProblem.of_size(nearest_cosines(vectors, 64), np.zeros(1200), 24, 1.0)
    reached = exact.value(select_greedily(few).indices)
    assert reached >= 0.98 * select_greedily(exact).value


def test_the_rule_goes_by_the_memory_of_the_dense_similarity() -> None:
    limit = int((neighbours.DENSE_BYTES / 4) ** 0.5)
    assert neighbours_counted(limit, 10) is None
    assert neighbours_counted(limit + 1, 10) == 256
    assert neighbours_counted(100_000, 1_000) == 64
    assert neighbours_counted(1_000_000, 2_000) == 125
