"""FAISS finds exactly what NumPy finds, keeps its ids, and stays within its memory."""

import gc
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from jaxtyping import Float32

from curette.tasks.index import faiss_index
from curette.tasks.index.faiss_index import (
    build_flat,
    build_ivf,
    extend,
    open_serialised,
    search,
    search_exactly,
    serialise,
)
from curette.tasks.index.recall import recall_at_10, spread_rows


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


@pytest.mark.parametrize("build", [build_flat, lambda rows: build_ivf(rows, 4)])
def test_an_index_is_read_where_it_lies_and_finds_the_same(
    generator: np.random.Generator, tmp_path: Path, build: Callable[..., faiss.Index]
) -> None:
    rows, asked = unit(generator, 300), unit(generator, 9)
    index = build(rows)
    content = serialise(index)
    content.tofile(tmp_path / "rows.faiss")
    mapped = np.memmap(tmp_path / "rows.faiss", dtype=np.uint8, mode="r")
    again = open_serialised(mapped)
    del mapped  # the index keeps what it points into
    gc.collect()
    assert again.ntotal == 300
    for before, after in zip(search(index, asked, 7), search(again, asked, 7), strict=True):
        assert np.array_equal(before, after)
    assert np.array_equal(content, serialise(again))


def test_what_is_searched_once_is_found_as_in_an_index(generator: np.random.Generator) -> None:
    rows, asked = np.repeat(unit(generator, 40), 2, axis=0), unit(generator, 25)
    expected = search(build_flat(rows), asked, 9)
    for found, wanted in zip(search_exactly(rows, asked, 9), expected, strict=True):
        assert np.array_equal(found, wanted)
    assert search_exactly(rows[:3], asked, 9)[1].shape == (25, 3)


# --- inverted files -------------------------------------------------------------------------------


def clustered(generator: np.random.Generator, rows: int) -> Float32[np.ndarray, "row d"]:
    centers = unit(generator, 30)[generator.integers(0, 30, rows)]
    vectors = centers + 0.5 * unit(generator, rows)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_an_inverted_file_that_looks_everywhere_is_exact(generator: np.random.Generator) -> None:
    rows, asked = clustered(generator, 900), clustered(generator, 20)
    index = build_ivf(rows, 16)
    index.nprobe = 16
    scores, ids = search(index, asked, 10)
    exact, expected = search(build_flat(rows), asked, 10)
    assert np.array_equal(ids, expected)
    np.testing.assert_allclose(scores, exact, atol=1e-6)


def test_equal_vectors_make_equal_inverted_files(generator: np.random.Generator) -> None:
    rows = clustered(generator, 900)
    assert np.array_equal(serialise(build_ivf(rows, 16)), serialise(build_ivf(rows.copy(), 16)))


def test_vectors_that_are_added_get_the_next_ids_and_leave_the_others_alone(
    generator: np.random.Generator,
) -> None:
    rows = clustered(generator, 900)
    for index in (build_flat(rows[:800]), build_ivf(rows[:800], 16)):
        before = search(index, rows[:800], 1)[1][:, 0]
        assert np.array_equal(before, np.arange(800))
        extend(index, rows[800:])
        assert np.array_equal(search(index, rows, 1)[1][:, 0], np.arange(900))


def test_an_index_that_was_saved_grows_and_its_ids_survive(
    generator: np.random.Generator,
) -> None:
    rows = clustered(generator, 900)
    for index in (build_flat(rows[:800]), build_ivf(rows[:800], 16)):
        copy = faiss.deserialize_index(serialise(index))
        extend(copy, rows[800:])
        assert np.array_equal(search(copy, rows, 1)[1][:, 0], np.arange(900))


def test_an_exact_index_that_grew_is_one_built_at_once(generator: np.random.Generator) -> None:
    rows = clustered(generator, 900)
    grown = build_flat(rows[:899])
    extend(grown, rows[899:])
    assert np.array_equal(serialise(grown), serialise(build_flat(rows)))


def test_an_inverted_file_that_grew_finds_as_much_as_one_built_at_once(
    generator: np.random.Generator,
) -> None:
    rows = clustered(generator, 3000)
    grown, built = build_ivf(rows[:2700], 32), build_ivf(rows, 32)
    extend(grown, rows[2700:])
    recalls = []
    for index in (grown, built):
        index.nprobe = 8
        recalls.append(recall_at_10(index, rows, np.arange(2700, 3000)))
    assert recalls[0] == pytest.approx(recalls[1], abs=0.03)
    assert recalls[0] > 0.8


def test_blocks_change_nothing(
    generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = clustered(generator, 900)
    whole = serialise(build_ivf(rows, 16))
    monkeypatch.setattr(faiss_index, "_BLOCK", 7)
    assert np.array_equal(serialise(build_ivf(rows, 16)), whole)


# --- recall ---------------------------------------------------------------------------------------


def test_recall_is_the_share_of_the_ten_nearest_others_by_brute_force(
    generator: np.random.Generator,
) -> None:
    rows = clustered(generator, 900)
    index = build_ivf(rows, 32)
    asking = spread_rows(900, 50)
    cosine = rows[asking].astype(np.float64) @ rows.astype(np.float64).T
    cosine[np.arange(50), asking] = -2
    nearest = np.argsort(-cosine, axis=1)[:, :10]
    found = [set(hits) for hits in search(index, rows[asking], 11)[1].tolist()]
    expected = np.mean([len(found[i] & set(nearest[i].tolist())) / 10 for i in range(50)])
    assert 0.2 < expected < 1
    assert recall_at_10(index, rows, asking) == pytest.approx(expected)


def test_exact_search_has_recall_one_also_among_equal_vectors(
    generator: np.random.Generator,
) -> None:
    rows = np.repeat(unit(generator, 20), 30, axis=0)
    assert recall_at_10(build_flat(rows), rows, spread_rows(600, 40)) == 1
    assert recall_at_10(build_flat(rows[:4]), rows[:4], np.arange(4)) == 1


def test_a_sample_is_spread_over_all_rows() -> None:
    assert spread_rows(5, 200).tolist() == [0, 1, 2, 3, 4]
    rows = spread_rows(10_000, 200)
    assert (rows[0], rows[-1], len(rows)) == (0, 9999, 200)
