"""Samples that differ are told apart, groups are dealt whole, chance is not called change."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from curette.tasks.methods.statistics.two_samples import (
    Dealt,
    changed_columns,
    holm,
    share_beyond,
)


def samples(
    first: int, second: int, size: int, seed: int, alike: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values of groups that resemble each other, groups, and who is in the second sample."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(first + second), size)
    values = alike * generator.normal(size=(first + second, 4))[groups]
    return values + generator.normal(size=values.shape), groups, groups >= first


def test_a_column_that_moved_is_found_and_its_direction_told() -> None:
    values, groups, second = samples(30, 10, 4, seed=1)
    values[second, 2] -= 3
    found = changed_columns(Dealt.of(groups, second, 500, 0), values)
    assert found.family_p_value[2] == pytest.approx(1 / 501)
    assert found.family_p_value[[0, 1, 3]].min() > 0.05
    wins = mannwhitneyu(values[second, 2], values[~second, 2]).statistic
    assert found.above[2] == pytest.approx(wins / (second.sum() * (~second).sum()))
    assert (found.family_p_value >= found.p_value).all()


def test_one_batch_in_twenty_without_change_is_called_changed_however_alike_a_group_is() -> None:
    p = [
        changed_columns(Dealt.of(groups, second, 99, seed), values).family_p_value.min()
        for seed in range(200)
        for values, groups, second in [samples(20, 6, 5, seed, alike=3.0)]
    ]
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert 0.35 < np.median(p) < 0.65


def test_samples_of_other_group_sizes_are_not_called_changed() -> None:
    p = []
    for seed in range(200):
        values, groups, second = samples(40, 30, 6, seed, alike=1.5)
        once = ~second | (np.arange(len(groups)) % 6 == 0)  # one image each in the second sample
        dealt = Dealt.of(groups[once], second[once], 99, seed)
        p.append(changed_columns(dealt, values[once]).family_p_value.min())
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_a_difference_is_that_of_the_means_over_an_error_by_pairs_of_images() -> None:
    values, groups, second = samples(4, 3, 2, seed=3)
    dealt = Dealt.of(groups, second, 20, 0)
    steps = dealt.steps(values)
    centred = values - values.mean(axis=0)
    pairs = [(i, j) for i, j in combinations(range(len(groups)), 2) if groups[i] == groups[j]]
    square = np.mean(centred**2, axis=0)
    alike = np.clip(np.mean([centred[i] * centred[j] for i, j in pairs], axis=0), 0, square)
    for row, deal in enumerate(dealt.second):
        there = deal[groups] > 0
        difference = values[there].mean(axis=0) - values[~there].mean(axis=0)
        variance = sum(
            (square * n + alike * n) / n**2 for n in (there.sum(), (~there).sum())
        )  # of pairs of images of one group there are as many as images, in groups of two
        assert steps[row] == pytest.approx(difference / np.sqrt(variance))


def test_the_discrepancy_is_that_of_pairs_of_other_groups() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(14, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = np.repeat(np.arange(7), 2)
    dealt = Dealt.of(groups, groups >= 4, 50, 0)
    told = dealt.discrepancies(vectors)
    squared = 2 - 2 * vectors.astype(float) @ vectors.T.astype(float)
    kernel = np.exp(-squared / np.median(squared))
    by_hand = []
    for deal in dealt.second:
        sides = [np.flatnonzero(deal[groups] == side) for side in (1, 0)]

        def mean(a: np.ndarray, b: np.ndarray) -> float:
            return float(np.mean([kernel[i, j] for i in a for j in b if groups[i] != groups[j]]))

        by_hand.append(mean(sides[0], sides[0]) + mean(sides[1], sides[1]) - 2 * mean(*sides))
    ratio = told / np.array(by_hand)
    assert ratio == pytest.approx(np.full(len(told), ratio[0]), rel=1e-4), "as many in every deal"


def test_other_vectors_are_found_where_no_single_direction_moved() -> None:
    generator = np.random.default_rng(2)
    vectors = generator.normal(size=(200, 6)).astype(np.float32)
    second = np.arange(200) >= 140
    vectors[second, 3:] = 0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    dealt = Dealt.of(np.arange(200), second, 300, 0)
    assert share_beyond(dealt.discrepancies(vectors)) < 0.01


def test_a_group_in_both_samples_or_a_single_group_is_refused() -> None:
    groups, second = np.array([0, 0, 1, 2]), np.array([True, False, False, False])
    with pytest.raises(ValueError, match="stands in both"):
        Dealt.of(groups, second, 9, 0)
    with pytest.raises(ValueError, match="two groups at least"):
        Dealt.of(np.arange(4), second, 9, 0)


def test_several_p_values_are_corrected_as_holm_has_it() -> None:
    assert holm(np.array([0.04, 0.01, 0.03])) == pytest.approx([0.06, 0.03, 0.06])
