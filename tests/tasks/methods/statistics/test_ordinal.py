"""Kappa and error of ordered classes against scikit-learn, resample by resample."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from sklearn.metrics import mean_absolute_error as absolute_error

from curette.tasks.methods.statistics.metrics import confusion_matrices
from curette.tasks.methods.statistics.ordinal import (
    mean_absolute_error,
    quadratic_weighted_kappa,
)


def test_kappa_and_error_are_scikit_learns_of_the_repeated_images() -> None:
    generator = np.random.default_rng(0)
    labels, said = generator.integers(5, size=(2, 90))
    weights = generator.poisson(1.0, (6, 90)).astype(float)
    confusion = confusion_matrices(labels, np.eye(5)[said], weights)
    for row, kappa, error in zip(
        weights.astype(int),
        quadratic_weighted_kappa(confusion),
        mean_absolute_error(confusion),
        strict=True,
    ):
        one, other = np.repeat(labels, row), np.repeat(said, row)
        expected = cohen_kappa_score(one, other, weights="quadratic", labels=range(5))
        assert kappa == pytest.approx(expected)
        assert error == pytest.approx(absolute_error(one, other))


def test_a_mistake_of_two_steps_weighs_four_times_one_of_one_step() -> None:
    near, far = np.diag([4.0, 4, 4]), np.diag([4.0, 4, 4])
    near[0, 1] = far[0, 2] = 1
    both = np.stack([near, far])
    assert mean_absolute_error(both) == pytest.approx([1 / 13, 2 / 13])
    # By hand: rows 5 4 4, columns 4 5 4 and 4 4 5, over 13.
    chance = np.array([5 * (5 + 16) + 4 * (4 + 4) + 4 * (16 + 5), 5 * (4 + 20) + 4 * 9 + 4 * 20])
    assert quadratic_weighted_kappa(both) == pytest.approx(1 - np.array([1, 4]) * 13 / chance)


def test_what_cannot_be_wrong_has_no_kappa() -> None:
    one = np.zeros((1, 3, 3))
    one[0, 1, 1] = 5
    assert np.isnan(quadratic_weighted_kappa(one)).all()
    assert mean_absolute_error(one) == pytest.approx([0])
    assert np.isnan(mean_absolute_error(np.zeros((1, 3, 3)))).all()
