"""When a concept counts as present on an image, and what its best images reach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curette.tasks.screen.activation import centred_scores, mean_of_highest, midpoints, present
from curette.tasks.screen.gates.groundability import ground, why_not_groundable


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_scores_are_what_exceeds_the_mean_over_the_pool() -> None:
    generator = np.random.default_rng(0)
    images, texts = (unit(generator.normal(size=(n, 8))) for n in (7, 5))
    plain = images @ texts.T
    centred = centred_scores(images, texts[:2], texts)
    np.testing.assert_allclose(centred, plain[:, :2] - plain.mean(axis=1, keepdims=True), atol=1e-6)


def test_the_midpoint_lies_between_the_means_of_both_ends() -> None:
    scores = np.arange(100, dtype=np.float32)[:, None] ** 2
    low, high = np.mean(np.arange(5) ** 2), np.mean(np.arange(95, 100) ** 2)
    assert midpoints(scores).tolist() == [pytest.approx((low + high) / 2)]


@given(share=st.integers(1, 99), offset=st.floats(-1, 1), gain=st.floats(0.01, 10))
def test_two_levels_are_told_apart_at_any_offset(share: int, offset: float, gain: float) -> None:
    scores = (offset + gain * (np.arange(100) < share)).astype(np.float32)[:, None]
    assert present(scores).sum() == share


def test_the_highest_scores_are_averaged_and_fewer_images_are_no_problem() -> None:
    scores = np.array([[1, 9], [2, 8], [3, 7], [4, 6], [5, 5], [6, 4], [7, 3]], dtype=np.float32)
    assert mean_of_highest(scores).tolist() == [5.0, 7.0]
    assert mean_of_highest(scores[:2]).tolist() == [1.5, 8.5]


AXES = np.eye(6, dtype=np.float32)


def images_with(concept: int, shown: int, count: int = 200) -> np.ndarray:
    """Images on an axis of their own, some of which lean towards a concept."""
    rows = np.tile(AXES[5], (count, 1))
    rows[:shown, concept] += 1
    return unit(rows)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (0, "has the same score on every training image"),
        (6, "lies above its midpoint on 3.0% of the training images, fewer than 10%"),
        (30, ""),
        (194, "lies below its midpoint on 3.0% of the training images, fewer than 10%"),
    ],
)
def test_a_concept_must_part_the_images(shown: int, reason: str) -> None:
    found = ground(images_with(0, shown), AXES[:1], AXES[1:3], 0.0)
    assert why_not_groundable(found, 0, 0.1) == reason


def test_a_concept_must_reach_what_is_usual_for_the_encoder_at_any_scale() -> None:
    generator = np.random.default_rng(1)
    for scale in (0.02, 0.9):
        pool = unit(np.hstack([scale * generator.random((40, 1)) + 0.001, np.ones((40, 1))]))
        images = unit(np.column_stack([generator.random(50), np.zeros(50) + 0.5]))
        found = ground(images, pool, pool, 0.25)
        best = (images @ pool.T).copy()
        best.sort(axis=0)
        activation = best[-5:].mean(axis=0)
        weak = activation < np.quantile(activation, 0.25)
        said = ["resembles" in why_not_groundable(found, c, 0.0) for c in range(40)]
        assert said == weak.tolist()
        assert sum(said) == 10


def test_blocks_do_not_matter() -> None:
    generator = np.random.default_rng(2)
    images, texts = unit(generator.normal(size=(50, 8))), unit(generator.normal(size=(600, 8)))
    whole = ground(images, texts, texts, 0.1)
    part = ground(images, texts[500:510], texts, 0.1)
    np.testing.assert_array_equal(whole.share_above[500:510], part.share_above)
    np.testing.assert_allclose(whole.activation[500:510], part.activation, rtol=1e-6)
