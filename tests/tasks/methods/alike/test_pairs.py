"""Every pair is found; each look-alike stands in one star, beside a center it is like itself."""

import itertools

import numpy as np
import pytest
from jaxtyping import Float32, Int64

from curette.tasks.methods.alike import pairs as pairs_module
from curette.tasks.methods.alike.pairs import Pairs, find_pairs, is_near
from curette.tasks.methods.alike.stars import stars


def unit(generator: np.random.Generator, rows: int, dim: int = 12) -> Float32[np.ndarray, "row d"]:
    vectors = generator.standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def with_twins(
    generator: np.random.Generator, rows: int, twins: int
) -> tuple[Float32[np.ndarray, "row d"], Int64[np.ndarray, " row"]]:
    """Random vectors in three parts, some of them nearly another one, in any part."""
    vectors = unit(generator, rows)
    for _ in range(twins):
        a, b = generator.choice(rows, 2, replace=False)
        near = vectors[a] + generator.uniform(0, 0.05) * unit(generator, 1)[0]
        vectors[b] = near / np.linalg.norm(near)
    return vectors, generator.integers(0, 3, rows)


def brute_force(
    vectors: Float32[np.ndarray, "row d"], part: Int64[np.ndarray, " row"], least: float
) -> dict[tuple[int, int], float]:
    cosine = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    return {
        (a, b): cosine[a, b]
        for a, b in itertools.permutations(range(len(vectors)), 2)
        if part[a] < part[b] and cosine[a, b] >= least
    }


def listed(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))


def pairs_of(cosines: dict[tuple[int, int], float]) -> Pairs:
    a, b = np.array(list(cosines), dtype=np.int64).reshape(-1, 2).T
    return Pairs(a, b, np.array(list(cosines.values()), dtype=np.float32))


@pytest.mark.parametrize("blocks", [(256, 65_536), (7, 11)])
def test_pairs_are_those_of_brute_force(
    generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, int]
) -> None:
    monkeypatch.setattr(pairs_module, "_QUERIES", blocks[0])
    monkeypatch.setattr(pairs_module, "_ROWS", blocks[1])
    vectors, part = with_twins(generator, 120, 60)
    expected = brute_force(vectors, part, 0.995)
    pairs = find_pairs(vectors, part, 0.995)
    assert len(listed(pairs)) == len(expected) > 10
    assert {p: pytest.approx(c, abs=1e-6) for p, c in expected.items()} == dict(
        zip(listed(pairs), pairs.cosine.tolist(), strict=True)
    )


def test_equal_vectors_are_a_pair_at_cosine_one_although_float32_rounds() -> None:
    rows = unit(np.random.default_rng(0), 200, 512)
    vectors = np.concatenate([rows, rows])
    part = np.repeat([0, 1], 200)
    assert (vectors[:200] * vectors[200:]).sum(axis=1).min() < 1, "nothing is rounded here"
    pairs = find_pairs(vectors, part, 1.0)
    assert sorted(listed(pairs)) == [(i, i + 200) for i in range(200)]
    assert pairs.cosine.max() <= 1


def test_pairs_within_one_part_do_not_count() -> None:
    vectors = np.ones((6, 1), dtype=np.float32)
    assert listed(find_pairs(vectors, np.zeros(6, dtype=np.int64), 0.9)) == []
    pairs = find_pairs(vectors, np.array([1, 0, 1, 1, 0, 1]), 0.9)
    assert sorted(listed(pairs)) == sorted(itertools.product((1, 4), (0, 2, 3, 5)))


def test_the_search_ends_soon_after_the_limit_where_everything_is_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pairs_module, "COUNT_LIMIT", 100)
    monkeypatch.setattr(pairs_module, "_QUERIES", 10)
    monkeypatch.setattr(pairs_module, "_ROWS", 7)
    vectors = np.ones((4000, 1), dtype=np.float32)
    pairs = find_pairs(vectors, np.repeat([0, 1], 2000), 0.9)
    assert 100 < len(pairs.a) <= 100 + 10 * 7


# --- stars ----------------------------------------------------------------------------------------


def test_each_look_alike_stands_once_beside_a_center_it_is_like(
    generator: np.random.Generator,
) -> None:
    vectors, part = with_twins(generator, 300, 200)
    expected = brute_force(vectors, part, 0.99)
    found = stars(find_pairs(vectors, part, 0.99))
    members = [int(row) for star in found for row in star.rows]
    assert len(members) == len(set(members))
    assert set(members) == {b for _, b in expected}
    for star in found:
        for row, cosine in zip(star.rows.tolist(), star.cosine.tolist(), strict=True):
            assert expected[star.center, row] == pytest.approx(cosine, abs=1e-6)
    assert len(found) < len(members), "nothing is grouped here"
    firsts = [float(star.cosine[0]) for star in found]
    assert firsts == sorted(firsts, reverse=True)


def test_a_burst_is_one_star() -> None:
    burst = {(a, b): 0.996 for a in range(10) for b in range(10, 40)}
    [star] = stars(pairs_of(burst))
    assert (star.center, star.rows.tolist()) == (0, list(range(10, 40)))


def test_a_burst_goes_to_the_fewest_centers_and_each_row_to_the_most_alike_of_them() -> None:
    # 1 is like three rows; of what is left 2 is like two; 0 is like one that is taken.
    found = stars(
        pairs_of(
            {
                (0, 10): 0.999,
                (1, 10): 0.996,
                (1, 11): 0.996,
                (1, 12): 0.996,
                (2, 12): 0.998,
                (2, 13): 0.997,
                (2, 14): 0.9975,
            }
        )
    )
    assert [(star.center, star.rows.tolist()) for star in found] == [
        (2, [12, 14, 13]),
        (1, [10, 11]),
    ]


def test_a_chain_is_not_one_star() -> None:
    # 0 - 10 - 1 - 11: the ends are not alike.
    found = stars(pairs_of({(0, 10): 0.999, (1, 10): 0.998, (1, 11): 0.998, (2, 11): 0.999}))
    assert [(star.center, star.rows.tolist()) for star in found] == [(1, [10, 11])]
    chained = stars(pairs_of({(0, 10): 0.999, (10, 20): 0.998}))  # train, validation, test
    assert [(star.center, star.rows.tolist()) for star in chained] == [(0, [10]), (10, [20])]


def test_the_order_of_the_pairs_decides_nothing(generator: np.random.Generator) -> None:
    vectors, part = with_twins(generator, 200, 150)
    pairs = find_pairs(vectors, part, 0.99)
    shuffled = pairs.take(generator.permutation(len(pairs.a)))
    for one, other in zip(stars(pairs), stars(shuffled), strict=True):
        assert one.center == other.center
        assert np.array_equal(one.rows, other.rows)


def test_no_pairs_are_no_stars() -> None:
    assert stars(pairs_of({})) == []


def test_near_copies_are_those_that_one_known_is_like() -> None:
    generator = np.random.default_rng(0)
    known = generator.normal(size=(50, 4))
    vectors = generator.normal(size=(2500, 4))  # more than one block
    vectors[2400] = known[3] * 2
    known, vectors = (
        (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for v in (known, vectors)
    )
    expected = [bool(max(v @ k for k in known) >= 0.99) for v in vectors]
    found = is_near(known, vectors, 0.99)
    assert found.tolist() == expected
    assert 1 < found.sum() < 2500
    assert is_near(known, vectors, 1).nonzero()[0].tolist() == [2400]
