"""What an encoder's cosines mean, on vectors whose likeness is known."""

import numpy as np
import pytest

from curette.tasks.methods.alike.calibration import (
    FEWEST_PAIRS,
    centred,
    chance_cosine,
    score_space,
)


def test_what_all_vectors_share_is_taken_out() -> None:
    generator = np.random.default_rng(0)
    own = generator.normal(size=(200, 16))
    template = 20 * generator.normal(size=16)
    away = centred(own + template)
    assert np.median((own + template) @ template) > 0  # as good as parallel before
    np.testing.assert_allclose(away, centred(own), atol=1e-5)
    assert abs(np.median(away @ away.T)) < 0.1
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 1, atol=1e-6)


def test_the_mean_may_be_of_the_first_rows_alone() -> None:
    rows = np.random.default_rng(1).normal(size=(30, 4))
    expected = rows - rows[:20].mean(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(centred(rows, reference=20), expected, atol=1e-6)
    assert centred(np.ones((3, 4))).tolist() == np.zeros((3, 4)).tolist()


def test_chance_is_the_quantile_of_unrelated_pairs_alone() -> None:
    rows = centred(np.random.default_rng(2).normal(size=(60, 8)))
    unrelated = np.add.outer(np.arange(60), np.arange(60)) % 3 > 0
    cosines = [float(rows[i] @ rows[j]) for i in range(60) for j in range(i) if (i + j) % 3]
    assert len(cosines) > FEWEST_PAIRS
    assert chance_cosine(rows, unrelated, 0.99) == pytest.approx(np.quantile(cosines, 0.99))
    assert chance_cosine(rows[:20], unrelated[:20, :20], 0.99) is None


def test_cosines_in_score_space_are_correlations_of_scores() -> None:
    generator = np.random.default_rng(3)
    images = generator.normal(size=(300, 6)).astype(np.float32) + 2
    texts = generator.normal(size=(9, 6)).astype(np.float32)
    rows = score_space(images, texts).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(rows @ rows.T, np.corrcoef(texts @ images.T), atol=1e-4)
