"""Normalised average precision by hand and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from tasks.screen.learnability import normalised_average_precision


def test_a_value_worked_out_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    shown = np.array([True, False, True, False])
    # N = 4: precision' is 0.5*4/(0.5*4+0) = 1 at the first, 1*4/(1*4+1) = 0.8 at the second
    assert normalised_average_precision(scores, shown, 4) == pytest.approx((1 + 0.8) / 2)


@given(seed=st.integers(0, 500), count=st.integers(2, 60))
def test_with_as_many_as_there_are_it_is_average_precision(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    scores, shown = generator.permutation(count) / 1.0, generator.random(count) < 0.4
    shown[0] = True
    ours = normalised_average_precision(scores, shown, float(shown.sum()))
    assert ours == pytest.approx(average_precision_score(shown, scores))


def test_perfect_ranking_is_one_however_rare_and_equal_scores_flatter_nobody() -> None:
    scores, shown = np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, False, False, False])
    assert normalised_average_precision(scores, shown, 2) == 1
    assert normalised_average_precision(np.zeros(4), shown, 1) == pytest.approx(1 / 4)


def test_a_concept_that_no_image_shows_has_none() -> None:
    with pytest.raises(ValueError, match="an image that shows the concept"):
        normalised_average_precision(np.zeros(3), np.zeros(3, dtype=bool), 1)
