"""Rank correlations of weighted images, against SciPy on images that are there so often."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from curette.tasks.methods.statistics.rank_correlation import rank_correlations_of


def test_every_weighting_is_what_scipy_says_of_so_many_copies() -> None:
    generator = np.random.default_rng(0)
    first = generator.normal(size=(40, 2))
    second = np.round(
        first @ generator.normal(size=(2, 3)) + generator.normal(size=(40, 3))
    )  # ties
    weights = generator.integers(4, size=(5, 40)).astype(np.float64)
    found = rank_correlations_of(first, second)(weights)
    for row, often in zip(found, weights.astype(int), strict=True):
        copies = np.repeat(np.arange(40), often)
        for i in range(2):
            for j in range(3):
                expected = spearmanr(first[copies, i], second[copies, j]).statistic
                assert row[i, j] == pytest.approx(expected)


def test_scores_that_are_all_the_same_rank_nothing() -> None:
    found = rank_correlations_of(np.ones((4, 1)), np.arange(4.0)[:, None])(np.ones((1, 4)))
    assert np.isnan(found).all()
