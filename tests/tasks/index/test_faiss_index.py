"""FAISS finds exactly what NumPy finds, keeps its ids, and stays within its memory."""

import itertools

import numpy as np
import pytest
from jaxtyping import Float32, Int64

from tasks.index import faiss_index
from tasks.index.faiss_index import build_flat, deserialise, find_pairs, search, serialise


def unit(generator: np.random.Generator, rows: int, dim: int = 12) -> Float32[np.ndarray, "row d"]:
    vectors = generator.standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("queries", [3, 40])  # FAISS takes another path from 20 queries on
def test_search_finds_the_rows_of_largest_inner_product(
    generator: np.random.Generator, queries: int
) -> None:
    rows, asked = unit(generator, 300), unit(generator, queries)
    scores, ids = search(build_flat(rows), asked, 10)
    exact = asked.astype(np.float64) @ rows.T
    expected = np.argsort(-exact, axis=1)[:, :10]
    assert np.array_equal(ids, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(exact, expected, 1), atol=1e-6)


def test_every_row_is_its_own_nearest(generator: np.random.Generator) -> None:
    rows = unit(generator, 500)
    scores, ids = search(build_flat(rows), rows, 1)
    assert np.array_equal(ids[:, 0], np.arange(500))
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-6)


def test_equal_scores_come_in_the_order_of_their_ids() -> None:
    rows = np.eye(4, dtype=np.float32)[[1, 0, 0, 2, 0]]
    _, ids = search(build_flat(rows), np.eye(1, 4, dtype=np.float32), 5)
    assert ids.tolist() == [[1, 2, 4, 0, 3]]


def test_there_are_no_more_hits_than_rows(generator: np.random.Generator) -> None:
    scores, ids = search(build_flat(unit(generator, 3)), unit(generator, 2), 8)
    assert sorted(ids[0].tolist()) == [0, 1, 2]
    assert np.isfinite(scores).all()


def test_ids_survive_saving_and_loading(generator: np.random.Generator) -> None:
    rows, asked = unit(generator, 50), unit(generator, 9)
    index = build_flat(rows)
    content = serialise(index)
    again = deserialise(np.frombuffer(content.tobytes(), dtype=np.uint8))
    assert again.ntotal == 50
    for before, after in zip(search(index, asked, 7), search(again, asked, 7), strict=True):
        assert np.array_equal(before, after)
    assert np.array_equal(content, serialise(again))


# --- pairs ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("blocks", [(256, 65_536), (7, 11)])
def test_pairs_are_those_of_brute_force_most_alike_first(
    generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, int]
) -> None:
    monkeypatch.setattr(faiss_index, "_QUERIES", blocks[0])
    monkeypatch.setattr(faiss_index, "_ROWS", blocks[1])
    vectors, part = with_twins(generator, 120, 60)
    expected = brute_force(vectors, part, 0.995)
    pairs, found = find_pairs(vectors, part, 0.995, 1000)
    listed = list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    assert found == len(expected) > 10
    assert len(set(listed)) == len(listed)
    assert {p: pytest.approx(c, abs=1e-6) for p, c in expected.items()} == dict(
        zip(listed, pairs.cosine.tolist(), strict=True)
    )
    assert pairs.cosine.tolist() == sorted(pairs.cosine.tolist(), reverse=True)


@pytest.mark.parametrize("blocks", [(256, 65_536), (7, 11)])
def test_a_short_list_holds_the_most_alike_and_the_number_of_all(
    generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, int]
) -> None:
    monkeypatch.setattr(faiss_index, "_QUERIES", blocks[0])
    monkeypatch.setattr(faiss_index, "_ROWS", blocks[1])
    vectors, part = with_twins(generator, 120, 60)
    whole, found = find_pairs(vectors, part, 0.99, 1000)
    short, also_found = find_pairs(vectors, part, 0.99, 5)
    assert also_found == found > 5
    assert short.cosine.tolist() == whole.cosine.tolist()[:5]


def test_equal_vectors_are_a_pair_at_cosine_one_although_float32_rounds() -> None:
    rows = unit(np.random.default_rng(0), 200, 512)
    vectors = np.concatenate([rows, rows])
    part = np.repeat([0, 1], 200)
    assert (vectors[:200] * vectors[200:]).sum(axis=1).min() < 1, "nothing is rounded here"
    pairs, found = find_pairs(vectors, part, 1.0, 1000)
    assert found == 200
    assert sorted(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)) == [
        (i, i + 200) for i in range(200)
    ]
    assert pairs.cosine.max() <= 1


def test_pairs_within_one_part_do_not_count() -> None:
    vectors = np.ones((6, 1), dtype=np.float32)
    assert find_pairs(vectors, np.zeros(6, dtype=np.int64), 0.9, 10)[1] == 0
    pairs, found = find_pairs(vectors, np.array([1, 0, 1, 1, 0, 1]), 0.9, 3)
    assert found == 8
    assert list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)) == [(1, 0), (1, 2), (1, 3)]


def test_the_search_ends_soon_after_the_limit_where_everything_is_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faiss_index, "COUNT_LIMIT", 100)
    monkeypatch.setattr(faiss_index, "_QUERIES", 10)
    monkeypatch.setattr(faiss_index, "_ROWS", 7)
    vectors = np.ones((4000, 1), dtype=np.float32)
    pairs, found = find_pairs(vectors, np.repeat([0, 1], 2000), 0.9, 20)
    assert 100 < found <= 100 + 10 * 7
    assert len(pairs.a) == 20
