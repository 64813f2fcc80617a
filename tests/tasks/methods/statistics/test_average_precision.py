"""Normalised average precision by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from curette.tasks.methods.statistics.average_precision import (
    average_precision,
    normalised_average_precision,
)


def _draw(images: int, concepts: int, signal: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    present = generator.random((images, concepts)) < 0.3
    return (signal * present + generator.normal(size=present.shape)).round(1), present


def test_average_precision_at_its_own_prevalence_is_scikit_learns() -> None:
    scores, present = _draw(80, 3, 1.0)
    weights = np.random.default_rng(1).poisson(1.0, (4, 80)).astype(float)
    for j in range(3):
        for row in weights:
            kept = np.repeat(np.arange(80), row.astype(int))
            shown = present[kept, j]
            value = normalised_average_precision(
                scores[:, j], present[:, j], shown.sum() * 80 / len(kept), row[None]
            )
            expected = average_precision_score(shown, scores[kept, j])
            assert value[0] == pytest.approx(expected)
            plain = average_precision(scores[:, j], present[:, j], row[None])
            assert plain[0] == pytest.approx(expected)


def test_normalised_average_precision_worked_by_hand() -> None:
    scores, present = np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])
    value = normalised_average_precision(scores, present, 1.0, np.ones((1, 4)))
    # recall 1/2 without a false one: precision 1; recall 1 after one: 1 / (1 + 1)
    assert value[0] == pytest.approx((1 + 1 / 2) / 2)
    none = normalised_average_precision(scores, np.zeros(4, dtype=bool), 1.0, np.ones((1, 4)))
    assert np.isnan(none[0])


def test_normalising_makes_rare_concepts_comparable() -> None:
    generator = np.random.default_rng(0)
    values, usual = [], []
    for shown in (10_000, 500):  # equal detectors among equally many images without the concept
        present = np.arange(10_000 + shown) < shown
        scores = 1.5 * present + generator.normal(size=len(present))
        once = np.ones((1, len(present)))
        values.append(normalised_average_precision(scores, present, 5000, once)[0])
        usual.append(average_precision_score(present, scores))
    assert usual[0] > usual[1] + 0.3
    assert values[0] == pytest.approx(values[1], abs=0.02)


def test_perfect_ranking_is_one_however_rare_and_equal_scores_flatter_nobody() -> None:
    scores, shown = np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, False, False, False])
    once = np.ones((1, 4))
    assert normalised_average_precision(scores, shown, 2, once) == 1
    assert normalised_average_precision(np.zeros(4), shown, 1, once) == pytest.approx(1 / 4)
