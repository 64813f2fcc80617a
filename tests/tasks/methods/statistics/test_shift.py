"""In and out of domain, the gap and the worst group are what scikit-learn says of each."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from curette.tasks.methods.statistics.metrics import METRICS
from curette.tasks.methods.statistics.shift import shift_metrics_of, worst_group_accuracy


def _judged() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 90)
    probabilities = np.exp(np.eye(3)[labels] + generator.normal(size=(90, 3)))
    return labels, probabilities / probabilities.sum(1, keepdims=True), np.arange(90) >= 60


def test_in_domain_out_of_domain_gap_and_mean() -> None:
    labels, probabilities, outside = _judged()
    sides = (~outside).astype(float), outside.astype(float)
    values = shift_metrics_of(labels, probabilities, *sides)(np.ones((1, 90)))[0]
    said = probabilities.argmax(1)
    scores = [balanced_accuracy_score(labels[h], said[h]) for h in (~outside, outside)]
    np.testing.assert_allclose(
        values[:, METRICS.index("balanced_accuracy")],
        [scores[0], scores[1], scores[0] - scores[1], np.mean(scores)],
    )


def test_the_worst_group_is_that_of_each_weighting() -> None:
    labels, probabilities, outside = _judged()
    cell = labels * 2 + outside
    cell[labels == 2] = -1
    weights = np.random.default_rng(1).poisson(1.0, (5, 90)).astype(float)
    weights[0] = 1
    said = probabilities.argmax(1)
    right = (said == labels).astype(float)
    values = worst_group_accuracy(right, cell, weights)
    for value, row in zip(values, weights, strict=True):
        expected = min(
            accuracy_score(labels[cell == c], said[cell == c], sample_weight=row[cell == c])
            for c in range(4)
        )
        assert value == pytest.approx(expected)
    nothing = worst_group_accuracy(right, cell, (cell < 0).astype(float)[None])
    assert np.isnan(nothing[0])


def test_a_gap_worked_by_hand() -> None:
    """Class 0: right on 1 of 2 here and 0 of 1 there; class 1: right on 1 of 1 and 1 of 2."""
    labels = np.array([0, 0, 1, 0, 1, 1])
    said = np.array([0, 1, 1, 1, 1, 0])
    probabilities = np.where(said[:, None] == np.arange(2), 0.9, 0.1)
    outside = np.array([0.0, 0, 0, 1, 1, 1])
    values = shift_metrics_of(labels, probabilities, 1 - outside, outside)(np.ones((1, 6)))[0]
    of_balanced = values[:, METRICS.index("balanced_accuracy")]
    np.testing.assert_allclose(of_balanced, [0.75, 0.25, 0.5, 0.5])
    cell = labels * 2 + outside.astype(int)
    assert worst_group_accuracy((said == labels) * 1.0, cell, np.ones((1, 6)))[0] == 0


def test_images_that_count_on_both_sides_count_by_their_weights() -> None:
    labels, probabilities, _ = _judged()
    generator = np.random.default_rng(2)
    inside, outside = generator.random((2, 90))
    drawn = generator.poisson(1.0, 90).astype(float)
    values = shift_metrics_of(labels, probabilities, inside, outside)(drawn[None])[0]
    said = probabilities.argmax(1)
    for value, side in zip(values[:2], (inside, outside), strict=True):
        expected = balanced_accuracy_score(labels, said, sample_weight=side * drawn)
        assert value[METRICS.index("balanced_accuracy")] == pytest.approx(expected)
        area = np.mean(
            [
                roc_auc_score(labels == k, probabilities[:, k], sample_weight=side * drawn)
                for k in range(3)
            ]
        )
        assert value[METRICS.index("macro_auroc")] == pytest.approx(area)
