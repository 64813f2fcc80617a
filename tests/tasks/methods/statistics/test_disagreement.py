"""Where heads differ, counted by hand."""

from dataclasses import astuple

import numpy as np
import pytest

from curette.tasks.methods.statistics.disagreement import (
    compare_decisions,
    differing_images,
    mcnemar_exact,
)


def _says(decisions: list[int], sureness: float = 1.0) -> np.ndarray:
    rest = (1 - sureness) / 2
    return np.where(np.eye(3)[decisions] == 1, sureness, rest)


def test_the_table_counts_every_image_once() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    first, second = _says([0, 0, 0, 1, 0, 1, 1]), _says([0, 1, 2, 0, 1, 1, 0])
    found = compare_decisions(labels, first, second, np.arange(7))
    # right: first 0 1 2 3, second 0 4; both wrong on 5 (alike) and 6 (apart)
    assert astuple(found) == pytest.approx((1, 3, 1, 1, 1, 10 / 16))


def test_exact_p_values_worked_by_hand() -> None:
    right, wrong = np.ones(6, dtype=bool), np.zeros(6, dtype=bool)
    assert mcnemar_exact(right, wrong, np.arange(6)) == pytest.approx(2 / 64)
    assert mcnemar_exact(wrong, right, np.arange(6)) == pytest.approx(2 / 64)
    assert mcnemar_exact(right, right, np.arange(6)) == 1


def test_images_of_one_person_are_one_piece_of_evidence() -> None:
    right, wrong = np.ones(6, dtype=bool), np.zeros(6, dtype=bool)
    assert mcnemar_exact(right, wrong, np.array(["a", "a", "a", "a", "b", "b"])) == 0.5
    balanced = np.array([True, True, True, False, False, False])
    assert mcnemar_exact(balanced, ~balanced, np.zeros(6)) == 1


def test_it_rejects_equal_heads_no_more_often_than_it_says() -> None:
    generator = np.random.default_rng(0)
    p_values = [
        mcnemar_exact(first, second, np.arange(60))
        for first, second in generator.random((400, 2, 60)) < 0.7
    ]
    assert 0.01 < np.mean(np.array(p_values) < 0.05) <= 0.07


def test_differing_images_come_with_the_surest_first() -> None:
    first = np.concatenate([_says([0, 1], 0.6), _says([2], 0.9), _says([0], 1.0)])
    second = np.concatenate([_says([1], 0.5), _says([1], 0.9), _says([0, 0], 0.9)])
    np.testing.assert_array_equal(differing_images(first, second), [2, 0])
