"""Near duplicates against a plain double loop."""

import numpy as np
import pytest
from jaxtyping import Float

from curette.tasks.methods.alike import stand_ins
from curette.tasks.methods.alike.stand_ins import nearest_kept

CLUSTERS, DIM = 40, 12


@pytest.fixture(params=[0, 1, 2])
def vectors(request: pytest.FixtureRequest) -> Float[np.ndarray, "item dim"]:
    """Vectors in clusters wide enough that likeness is not transitive."""
    generator = np.random.default_rng(request.param)
    centres = generator.normal(size=(CLUSTERS, DIM))
    spread = generator.normal(size=(CLUSTERS * 6, DIM)) * 0.25
    return (centres.repeat(6, axis=0) + spread).astype(np.float32)


def by_double_loop(
    vectors: Float[np.ndarray, "item dim"], order: list[int], cosine: float
) -> dict[int, int]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    kept: list[int] = []
    stand_in = {}
    for item in order:
        likest = max(kept, key=lambda k: float(unit[k] @ unit[item]), default=item)
        alike = bool(kept) and float(unit[likest] @ unit[item]) >= cosine
        stand_in[item] = likest if alike else item
        kept += [] if alike else [item]
    return stand_in


@pytest.mark.parametrize("block", [1, 7, 512])
def test_equals_a_double_loop_whatever_the_block(
    vectors: Float[np.ndarray, "item dim"], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_ins, "_BLOCK", block)
    order = np.random.default_rng(9).permutation(len(vectors))
    stand_in, _ = nearest_kept(vectors, order, 0.9)
    expected = by_double_loop(vectors, order.tolist(), 0.9)
    assert dict(enumerate(stand_in.tolist())) == expected
    assert 0 < sum(k != v for k, v in expected.items()) < len(vectors)


def test_no_two_kept_are_alike_and_every_dropped_one_is_like_its_stand_in(
    vectors: Float[np.ndarray, "item dim"],
) -> None:
    stand_in, likeness = nearest_kept(vectors, np.arange(len(vectors)), 0.9)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    kept = np.flatnonzero(stand_in == np.arange(len(vectors)))
    assert np.triu(cosines[np.ix_(kept, kept)], k=1).max() < 0.9
    assert set(stand_in) == set(kept)
    np.testing.assert_allclose(likeness, cosines[np.arange(len(vectors)), stand_in], atol=1e-5)
    assert likeness.min() >= 0.9


def test_a_second_pass_in_another_order_drops_nothing(
    vectors: Float[np.ndarray, "item dim"],
) -> None:
    stand_in, _ = nearest_kept(vectors, np.arange(len(vectors)), 0.9)
    kept = vectors[stand_in == np.arange(len(vectors))]
    again, _ = nearest_kept(kept, np.arange(len(kept))[::-1].copy(), 0.9)
    assert again.tolist() == list(range(len(kept)))


def test_the_threshold_itself_is_a_duplicate() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0.59, 0.81]], dtype=np.float32)
    stand_in, likeness = nearest_kept(vectors, np.arange(3), 0.6)
    assert stand_in.tolist() == [0, 0, 2]
    assert likeness.tolist() == [1, 0.6, 1]


def test_equal_vectors_are_duplicates_at_threshold_one() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 300)).astype(np.float32)[[0, 1, 0, 2]]
    assert nearest_kept(vectors, np.array([3, 2, 1, 0]), 1.0)[0].tolist() == [2, 1, 2, 3]


def test_nothing_has_no_duplicates() -> None:
    assert nearest_kept(np.zeros((0, 3), np.float32), np.arange(0), 0.9)[0].size == 0
