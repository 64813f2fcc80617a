"""Claims about selection, checked against brute force and plain references."""

import heapq
from collections.abc import Callable, Iterable
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from curette.tasks.methods.selection.facility_location import (
    SelectionProblem,
    select_at_random,
    select_greedily,
    select_top_utility,
    tighten_upper_bound,
)

SEEDS = range(5)
WEIGHTS = [0.0, 0.3, 1.0]


def unit_vectors(n: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def cosine(n: int, seed: int, dim: int = 4) -> np.ndarray:
    vectors = unit_vectors(n, dim, seed)
    return np.clip(vectors @ vectors.T, 0, 1)


def utilities(n: int, seed: int) -> np.ndarray:
    return 1e-9 * np.random.default_rng(seed).random(n)


def full_of_ties(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Few distinct values, all of them exact in binary, so that plain sums are exact too."""
    rng = np.random.default_rng(seed)
    similarity = rng.choice([0.0, 0.25, 0.5], size=(n, n))
    np.fill_diagonal(similarity, 1.0)
    return similarity, rng.choice([0.25, 0.5], size=n)


def objective(
    similarity: np.ndarray, utility: np.ndarray, picks: Iterable[int], k: int, weight: float
) -> float:
    """F as the module states it, written without any of its machinery."""
    picks = list(picks)
    useful = utility[picks].sum() / np.sort(utility)[-k:].sum()
    covered = similarity[:, picks].max(axis=1, initial=0).sum() / similarity.max(axis=1).sum()
    return (1 - weight) * useful + weight * covered


def pick_naively(similarity: np.ndarray, utility: np.ndarray, k: int, weight: float) -> list[int]:
    picks: list[int] = []
    for _ in range(k):
        worth = [
            -1.0 if j in picks else objective(similarity, utility, [*picks, j], k, weight)
            for j in range(len(utility))
        ]
        picks.append(int(np.argmax(np.round(worth, 12))))
    return picks


def pick_lazily(similarity: np.ndarray, utility: np.ndarray, k: int, weight: float) -> list[int]:
    """Minoux's accelerated greedy: a stale gain is an upper bound, so only the top is refreshed."""
    level = np.zeros(len(utility))
    useful = (1 - weight) * utility / np.sort(utility)[-k:].sum()
    scale = weight / similarity.max(axis=1).sum()

    def gain(j: int) -> float:
        return round(useful[j] + scale * np.maximum(similarity[:, j] - level, 0).sum(), 12)

    heap = [(-gain(j), j, 0) for j in range(len(utility))]
    heapq.heapify(heap)
    picks: list[int] = []
    while len(picks) < k:
        _, j, refreshed_at = heap[0]
        if refreshed_at == len(picks):
            heapq.heappop(heap)
            picks.append(j)
            level = np.maximum(level, similarity[:, j])
        else:
            heapq.heapreplace(heap, (-gain(j), j, len(picks)))
    return picks


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("k", [1, 3, 5])
def test_greedy_is_within_one_minus_one_over_e_and_the_bound_holds(
    seed: int, weight: float, k: int
) -> None:
    similarity, utility = cosine(11, seed), utilities(11, seed)
    optimum = max(
        objective(similarity, utility, picks, k, weight) for picks in combinations(range(11), k)
    )
    problem = SelectionProblem.of_size(similarity, utility, k, weight)
    selection = select_greedily(problem)
    tightened = tighten_upper_bound(problem, selection)
    assert selection.value >= (1 - 1 / np.e) * optimum
    assert selection.upper_bound >= tightened.upper_bound >= optimum - 1e-8
    assert 1 - 1 / np.e <= selection.certificate <= tightened.certificate <= 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_bound_is_the_least_over_all_prefixes(seed: int, weight: float) -> None:
    similarity, utility, k = cosine(30, seed), utilities(30, seed), 6
    selection = select_greedily(SelectionProblem.of_size(similarity, utility, k, weight))
    picks = selection.indices.tolist()
    bounds = []
    for size in range(k + 1):
        so_far = objective(similarity, utility, picks[:size], k, weight)
        growth = [
            objective(similarity, utility, [*picks[:size], j], k, weight) - so_far
            for j in range(30)
            if j not in picks[:size]
        ]
        bounds.append(so_far + sum(sorted(growth)[-k:]))
    assert selection.upper_bound <= min(1.0, *bounds) + 1e-8
    if weight == 1:  # without utilities the two bounds are the same
        assert selection.upper_bound == pytest.approx(min(1.0, *bounds), abs=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_gains_never_increase_and_sum_to_the_value(seed: int, weight: float) -> None:
    similarity, utility, k = cosine(40, seed), utilities(40, seed), 40
    selection = select_greedily(SelectionProblem.of_size(similarity, utility, k, weight))
    assert sorted(selection.indices.tolist()) == list(range(40))
    assert (np.diff(selection.gains) <= 0).all()
    assert selection.gains.sum() == pytest.approx(selection.value, abs=1e-12)
    assert selection.value == pytest.approx(1.0), "all candidates together are worth 1"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_value_is_the_stated_objective_and_is_monotone_and_submodular(
    seed: int, weight: float
) -> None:
    similarity, utility, k = cosine(25, seed), utilities(25, seed), 8
    problem = SelectionProblem.of_size(similarity, utility, k, weight)
    order = np.random.default_rng(seed).permutation(25)
    small, large, extra = order[:3], order[:8], order[8:]
    assert problem.value(large) == pytest.approx(
        objective(similarity, utility, large, k, weight), abs=1e-8
    )
    for j in extra:
        gain_of_small = problem.value(np.append(small, j)) - problem.value(small)
        gain_of_large = problem.value(np.append(large, j)) - problem.value(large)
        assert gain_of_small >= gain_of_large - 1e-12
        assert gain_of_large >= -1e-12


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("ties", [True, False])
def test_naive_lazy_dense_and_sparse_greedy_pick_the_same(
    seed: int, weight: float, ties: bool
) -> None:
    n, k = 60, 15
    similarity, utility = full_of_ties(n, seed) if ties else (cosine(n, seed), utilities(n, seed))
    dense = select_greedily(SelectionProblem.of_size(similarity, utility, k, weight))
    sparse = select_greedily(SelectionProblem.of_size(csr_array(similarity), utility, k, weight))
    assert dense.indices.tolist() == pick_naively(similarity, utility, k, weight)
    assert dense.indices.tolist() == pick_lazily(similarity, utility, k, weight)
    np.testing.assert_array_equal(sparse.indices, dense.indices)
    np.testing.assert_array_equal(sparse.gains, dense.gains)
    assert (sparse.value, sparse.upper_bound) == (dense.value, dense.upper_bound)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_neighbour_graph_is_the_similarity_that_is_zero_elsewhere(seed: int) -> None:
    """The columns differ in length and the similarity is not symmetric, as in real graphs."""
    similarity, utility = cosine(80, seed, dim=16), utilities(80, seed)
    similarity[similarity < np.sort(similarity, axis=1)[:, [-7]]] = 0
    dense = SelectionProblem.of_size(similarity, utility, 10, 0.7)
    sparse = SelectionProblem.of_size(csr_array(similarity), utility, 10, 0.7)
    in_dense, in_sparse = select_greedily(dense), select_greedily(sparse)
    np.testing.assert_array_equal(in_sparse.indices, in_dense.indices)
    tight_dense = tighten_upper_bound(dense, in_dense)
    assert tighten_upper_bound(sparse, in_sparse).upper_bound == tight_dense.upper_bound
    assert tight_dense.upper_bound < in_dense.upper_bound


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(WEIGHTS), st.floats(0.02, 0.5), st.integers(1, 3))
def test_sparse_and_dense_agree_on_any_graph_under_quotas(
    seed: int, weight: float, density: float, groups: int
) -> None:
    """Graphs with rows and columns of any length, empty ones among them."""
    rng = np.random.default_rng(seed)
    similarity = np.where(rng.random((40, 40)) < density, rng.random((40, 40)), 0)
    membership = rng.random((40, groups)) < 0.6
    membership[:9] = True
    forms: list[np.ndarray | csr_array] = [similarity, csr_array(similarity)]
    dense, sparse = (
        SelectionProblem.with_quotas(s, utilities(40, seed), membership, np.full(groups, 3), weight)
        for s in forms
    )
    one, other = select_greedily(dense), select_greedily(sparse)
    np.testing.assert_array_equal(other.indices, one.indices)
    np.testing.assert_array_equal(other.groups, one.groups)
    np.testing.assert_array_equal(other.gains, one.gains)
    bounds = [tighten_upper_bound(p, s).upper_bound for p, s in ((dense, one), (sparse, other))]
    assert bounds[0] == bounds[1]


def test_sums_do_not_depend_on_the_block_they_are_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    similarity, utility = cosine(50, seed=0), utilities(50, seed=0)
    forms: list[np.ndarray | csr_array] = [similarity, csr_array(similarity)]
    whole = [select_greedily(SelectionProblem.of_size(s, utility, 9, 0.8)) for s in forms]
    monkeypatch.setattr("curette.tasks.methods.selection.facility_location._BLOCK", 130)
    cut = [select_greedily(SelectionProblem.of_size(s, utility, 9, 0.8)) for s in forms]
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(one.indices, other.indices)
        np.testing.assert_array_equal(one.gains, other.gains)


def test_without_coverage_the_most_useful_are_picked_and_ties_go_to_the_lower_index() -> None:
    utility = np.array([1.0, 3.0, 2.0, 3.0, 2.0])
    selection = select_greedily(SelectionProblem.of_size(np.eye(5), utility, 3, 0.0))
    assert selection.indices.tolist() == [1, 3, 2]
    assert selection.value == selection.upper_bound == pytest.approx(1.0)


def test_the_scale_of_utilities_and_similarities_does_not_matter() -> None:
    similarity, utility = cosine(40, seed=1), utilities(40, seed=1)
    picks = select_greedily(SelectionProblem.of_size(similarity, utility, 8, 0.5)).indices
    scaled = SelectionProblem.of_size(8 * similarity, 1e12 * utility, 8, 0.5)
    np.testing.assert_array_equal(select_greedily(scaled).indices, picks)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_type_is_read_exactly(dtype: type[np.floating]) -> None:
    similarity: np.ndarray = np.array([[1, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 1]], dtype=dtype)
    problem = SelectionProblem.of_size(similarity, np.zeros(3, dtype), 2, 1.0)
    # Hand-worked: columns sum to 1.5, 1.75 and 1.25; after 1, 0 adds 0.5 and 2 adds 0.75.
    selection = select_greedily(problem)
    assert selection.indices.tolist() == [1, 2]
    assert selection.gains == pytest.approx([1.75 / 3, 0.75 / 3], rel=1e-15)


def test_a_duplicate_of_a_pick_adds_no_coverage() -> None:
    similarity = cosine(20, seed=2)
    twin = np.r_[np.arange(20), 0]
    similarity = similarity[np.ix_(twin, twin)]
    problem = SelectionProblem.of_size(similarity, utilities(21, seed=2), 21, 1.0)
    selection = select_greedily(problem)
    place = selection.indices.tolist().index
    assert place(0) < place(20), "ties go to the lower index"
    assert selection.gains[place(20)] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_permuting_the_candidates_only_renames_the_picks(seed: int) -> None:
    similarity, utility = cosine(50, seed), utilities(50, seed)
    order = np.random.default_rng(seed).permutation(50)
    plain = select_greedily(SelectionProblem.of_size(similarity, utility, 12, 0.6))
    permuted = select_greedily(
        SelectionProblem.of_size(similarity[np.ix_(order, order)], utility[order], 12, 0.6)
    )
    np.testing.assert_array_equal(order[permuted.indices], plain.indices)
    np.testing.assert_array_equal(permuted.gains, plain.gains)
    assert permuted.value == plain.value


@pytest.mark.parametrize("seed", SEEDS)
def test_coverage_exceeds_that_of_the_coordinate_maximum(seed: int) -> None:
    """The error to guard against: reading the vectors themselves as the similarity matrix.

    Greedy on sum_d max_{c in S} x[c, d] rewards large coordinates, not representativeness.
    """
    vectors, k = unit_vectors(120, 32, seed), 12
    similarity = np.maximum(0, vectors @ vectors.T)
    imposter: list[int] = []
    for _ in range(k):
        reached = vectors[imposter].max(axis=0, initial=-1.0)
        growth = np.maximum(vectors, reached).sum(axis=1)
        growth[imposter] = -np.inf
        imposter.append(int(growth.argmax()))
    problem = SelectionProblem.of_size(similarity, np.zeros(120), k, 1.0)
    assert select_greedily(problem).value > 1.05 * problem.value(np.array(imposter))


@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_covers_more_than_random_and_than_the_most_useful(seed: int) -> None:
    problem = SelectionProblem.of_size(cosine(100, seed, dim=8), utilities(100, seed), 10, 1.0)
    greedy = select_greedily(problem)
    top = select_top_utility(problem)
    assert greedy.value > top.value
    assert greedy.value > max(select_at_random(problem, draw).value for draw in range(20))
    np.testing.assert_array_equal(top.indices, np.argsort(-problem.utility)[:10])


def test_baselines_carry_valid_certificates_and_random_obeys_its_seed() -> None:
    problem = SelectionProblem.of_size(cosine(12, seed=3), utilities(12, seed=3), 4, 0.5)
    optimum = max(problem.value(np.array(picks)) for picks in combinations(range(12), 4))
    for selection in (select_top_utility(problem), select_at_random(problem, seed=0)):
        assert selection.value == pytest.approx(selection.gains.sum())
        assert tighten_upper_bound(problem, selection).upper_bound >= optimum - 1e-12
    draws = {tuple(select_at_random(problem, seed).indices.tolist()) for seed in range(10)}
    again = {tuple(select_at_random(problem, seed).indices.tolist()) for seed in range(10)}
    assert len(draws) > 5
    assert draws == again


def test_better_thresholds_prove_what_gains_alone_cannot() -> None:
    """Picks far from all else: what each brings is mostly itself, and so is what is left."""
    problem = SelectionProblem.of_size(cosine(100, seed=0, dim=128), np.zeros(100), 10, 1.0)
    selection = select_greedily(problem)
    tightened = tighten_upper_bound(problem, selection)
    np.testing.assert_array_equal(tightened.indices, selection.indices)
    assert selection.certificate < 0.9
    assert tightened.certificate > 0.97


def test_the_bound_never_exceeds_what_all_candidates_together_are_worth() -> None:
    """A graph in which the gains at every prefix promise more than everything."""
    similarity = np.eye(7)
    for i, j in [(0, 3), (0, 6), (1, 2), (1, 5), (2, 3), (2, 6), (3, 4), (4, 5), (5, 6)]:
        similarity[i, j] = similarity[j, i] = 1.0
    selection = select_greedily(SelectionProblem.of_size(similarity, np.zeros(7), 2, 1.0))
    assert selection.value == pytest.approx(6 / 7)
    assert selection.upper_bound == 1.0


def test_a_selection_of_nothing_but_zeros_is_worth_zero_and_certain() -> None:
    selection = select_greedily(SelectionProblem.of_size(np.zeros((3, 3)), np.zeros(3), 2, 0.5))
    assert selection.indices.tolist() == [0, 1]
    assert (selection.value, selection.certificate) == (0.0, 1.0)


def quota_problem(seed: int, weight: float) -> SelectionProblem:
    rng = np.random.default_rng(seed)
    membership = rng.random((10, 2)) < 0.6
    membership[:4] = [[True, False], [True, False], [False, True], [False, True]]
    return SelectionProblem.with_quotas(
        cosine(10, seed), utilities(10, seed), membership, np.array([2, 2]), weight
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_quotas_are_met_within_half_of_the_optimum_and_the_bound_holds(
    seed: int, weight: float
) -> None:
    problem = quota_problem(seed, weight)
    first, second = (set(np.flatnonzero(members)) for members in problem.membership.T)
    optimum = max(
        problem.value(np.array([*a, *b]))
        for a in combinations(first, 2)
        for b in combinations(second - set(a), 2)
    )
    selection = select_greedily(problem)
    assert len(set(selection.indices.tolist())) == 4
    assert np.bincount(selection.groups).tolist() == [2, 2]
    assert problem.membership[selection.indices, selection.groups].all()
    assert selection.value >= optimum / 2
    assert tighten_upper_bound(problem, selection).upper_bound >= optimum - 1e-12


def test_quotas_share_the_coverage_of_all_groups() -> None:
    """Candidates 0 and 1 are twins in different groups: the second group need not repeat 0."""
    similarity = np.eye(4)
    similarity[0, 1] = similarity[1, 0] = 1.0
    membership = np.array([[True, False], [False, True], [False, True], [False, True]])
    problem = SelectionProblem.with_quotas(
        similarity, np.zeros(4), membership, np.array([1, 1]), 1.0
    )
    assert select_greedily(problem).indices.tolist() == [0, 2]


def test_a_pick_moves_to_another_group_where_that_makes_room() -> None:
    """0 and 1 belong to both groups, 2 to the first alone, and all three fit."""
    membership = np.array([[True, True], [True, True], [True, False]])
    problem = SelectionProblem.with_quotas(
        np.eye(3), np.array([3.0, 2.0, 1.0]), membership, np.array([1, 2]), 0.0
    )
    selection = select_greedily(problem)
    assert selection.indices.tolist() == [0, 1, 2]
    assert selection.groups.tolist() == [1, 1, 0]


def fits(picks: Iterable[int], membership: np.ndarray, quotas: np.ndarray) -> bool:
    """Whether picks can be dealt out to groups, tried in every way."""
    groups = [np.flatnonzero(membership[j]) for j in picks]
    return any(
        (np.bincount(dealt, minlength=len(quotas)) <= quotas).all()
        for dealt in (np.array(d, dtype=int) for d in product(*groups))
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(WEIGHTS), st.integers(1, 3))
def test_shared_candidates_are_picked_as_naive_greedy_over_all_allowed_sets_picks(
    seed: int, weight: float, groups: int
) -> None:
    rng = np.random.default_rng(seed)
    membership = rng.random((7, groups)) < 0.5
    membership[:groups] |= np.eye(groups, dtype=bool)
    quotas = np.array([rng.integers(1, min(size, 2) + 1) for size in membership.sum(axis=0)])
    similarity, utility = full_of_ties(7, seed)
    problem = SelectionProblem.with_quotas(similarity, utility, membership, quotas, weight)
    selection = select_greedily(problem)
    picks: list[int] = []
    while rest := [j for j in range(7) if j not in picks and fits([*picks, j], membership, quotas)]:
        worth = [round(problem.value(np.array([*picks, j])), 12) for j in rest]
        picks.append(rest[int(np.argmax(worth))])
    assert selection.indices.tolist() == picks
    assert (np.bincount(selection.groups, minlength=groups) <= quotas).all()
    assert membership[selection.indices, selection.groups].all()
    optimum = max(
        problem.value(np.array(sets))
        for sets in combinations(range(7), len(picks))
        if fits(sets, membership, quotas)
    )
    assert optimum / 2 <= selection.value
    assert tighten_upper_bound(problem, selection).upper_bound >= optimum - 1e-12


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_largest_sum_of_an_allowed_set_counts_a_shared_candidate_once(
    seed: int, groups: int
) -> None:
    """Against all sets of seven candidates: this is U, and the last sum of the bound."""
    rng = np.random.default_rng(seed)
    membership = rng.random((7, groups)) < rng.choice([0.2, 0.5, 0.9])
    membership[:groups] |= np.eye(groups, dtype=bool)
    quotas = np.array([rng.integers(1, size + 1) for size in membership.sum(axis=0)])
    utility = rng.choice([0.0, 1.0, 2.0, 3.5], size=7)
    largest = max(
        sum(utility[list(picks)])
        for size in range(8)
        for picks in combinations(range(7), size)
        if fits(picks, membership, quotas)
    )
    problem = SelectionProblem.with_quotas(np.eye(7), utility, membership, quotas, 0.5)
    np.testing.assert_allclose(problem.utility * largest, utility * (largest > 0), rtol=1e-12)
    best = problem.best(utility)
    assert fits(best, membership, quotas)
    assert utility[best].sum() == pytest.approx(largest)


def test_what_is_best_for_shared_groups_is_proven_to_be_so() -> None:
    """All of three candidates fit into two classes: nothing better exists, the bound says so."""
    membership = np.array([[True, True], [True, False], [False, True]])
    for weight in (0.0, 0.5):
        problem = SelectionProblem.with_quotas(
            np.eye(3), np.ones(3), membership, np.array([2, 2]), weight
        )
        selection = select_greedily(problem)
        assert sorted(selection.indices.tolist()) == [0, 1, 2]
        assert selection.value == pytest.approx(1.0), "useful and covering are both at their most"
        assert selection.certificate == pytest.approx(1.0)


def test_groups_that_share_all_they_have_get_what_there_is() -> None:
    membership = np.ones((3, 2), dtype=bool)
    problem = SelectionProblem.with_quotas(np.eye(3), np.ones(3), membership, np.array([3, 3]), 0.5)
    assert sorted(select_greedily(problem).indices.tolist()) == [0, 1, 2]


def test_other_utilities_make_the_problem_that_they_would_have_made_at_first() -> None:
    similarity, first, second = cosine(20, 0), utilities(20, 0), utilities(20, 1)
    problem = SelectionProblem.of_size(similarity, second, 5, 0.5)
    other = SelectionProblem.of_size(similarity, first, 5, 0.5).with_utility(second)
    np.testing.assert_array_equal(select_greedily(other).indices, select_greedily(problem).indices)
    assert select_greedily(other).value == select_greedily(problem).value


@pytest.mark.parametrize("bad", [-0.2, np.nan, np.inf])
@pytest.mark.parametrize("form", [np.array, csr_array])
def test_negative_or_missing_similarity_says_how_to_fix_it(
    bad: float, form: Callable[[np.ndarray], np.ndarray | csr_array]
) -> None:
    similarity = form(np.array([[1.0, bad], [0.5, 1.0]]))
    with pytest.raises(
        ValueError, match=r"clip cosine with max\(0, s\) or shift it with \(1 \+ s\) / 2"
    ):
        SelectionProblem.of_size(similarity, np.ones(2), 1, 0.5)


@pytest.mark.parametrize("k", [0, 4])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k={k} is out of range for the 3 candidates"):
        SelectionProblem.of_size(np.eye(3), np.ones(3), k, 0.5)


def test_a_similarity_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\) for 3 utilities"):
        SelectionProblem.of_size(np.ones((2, 3)), np.ones(3), 1, 0.5)


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_a_bad_utility_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="no candidate may make a set worse"):
        SelectionProblem.of_size(np.eye(2), np.array([1.0, bad]), 1, 0.5)


@pytest.mark.parametrize("weight", [-0.1, 1.5, np.nan])
def test_a_coverage_weight_outside_zero_and_one_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=r"is outside \[0, 1\].*beta / \(alpha \+ beta\)"):
        SelectionProblem.of_size(np.eye(2), np.ones(2), 1, weight)


def test_a_neighbour_named_twice_is_refused() -> None:
    twice = csr_array(
        (np.array([1.0, 0.5, 0.5, 1.0]), np.array([0, 1, 1, 1]), np.array([0, 3, 4])), shape=(2, 2)
    )
    with pytest.raises(ValueError, match="names the same candidate twice"):
        SelectionProblem.of_size(twice, np.ones(2), 1, 0.5)


@pytest.mark.slow  # apricot compiles its functions anew
def test_coverage_is_at_least_that_of_apricot() -> None:
    apricot = pytest.importorskip("apricot", reason="a dependency of the benchmarks only")
    similarity = cosine(60, seed=0, dim=16)
    selector = apricot.FacilityLocationSelection(10, metric="precomputed", optimizer="lazy")
    theirs = np.asarray(selector.fit(similarity).ranking, dtype=np.int64)
    problem = SelectionProblem.of_size(similarity, np.zeros(60), 10, 1.0)
    assert select_greedily(problem).value >= problem.value(theirs) - 1e-12
