"""Mistakes in a tree of classes against counting them one by one."""

import numpy as np
import pytest

from curette.tasks.methods.statistics.metrics import balanced_accuracy, confusion_matrices
from curette.tasks.methods.statistics.taxonomy import distances, mean_over_mistakes, merged

LEVELS = [np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 2]), np.arange(5)]


def test_a_distance_is_the_number_of_levels_that_part_two_classes() -> None:
    expected = [
        [0, 1, 2, 3, 3],
        [1, 0, 2, 3, 3],
        [2, 2, 0, 3, 3],
        [3, 3, 3, 0, 1],
        [3, 3, 3, 1, 0],
    ]
    assert distances(LEVELS).tolist() == expected


def test_a_level_is_measured_as_if_its_nodes_were_the_classes() -> None:
    labels, said = np.random.default_rng(0).integers(5, size=(2, 200))
    weights = np.random.default_rng(1).poisson(1.0, (4, 200)).astype(float)
    for level in LEVELS:
        whole = confusion_matrices(labels, np.eye(5)[said], weights)
        nodes = np.eye(level.max() + 1)[level[said]]
        direct = confusion_matrices(level[labels], nodes, weights)
        assert balanced_accuracy(merged(whole, level)) == pytest.approx(balanced_accuracy(direct))


def test_what_a_mistake_costs_is_counted_and_its_chance_is_that_of_shuffled_decisions() -> None:
    generator = np.random.default_rng(2)
    labels, said = generator.choice(5, size=(2, 300), p=[0.5, 0.2, 0.1, 0.1, 0.1])
    cost = distances(LEVELS)
    confusion = confusion_matrices(labels, np.eye(5)[said], np.ones((1, 300)))
    ((found, chance),) = mean_over_mistakes(confusion, cost)
    wrong = labels != said
    assert found == pytest.approx(cost[labels[wrong], said[wrong]].mean())
    costs, mistakes = 0.0, 0
    for _ in range(2000):
        dealt = generator.permutation(said)
        costs += cost[labels, dealt].sum()
        mistakes += (labels != dealt).sum()
    assert chance == pytest.approx(costs / mistakes, abs=0.005)


def test_without_a_mistake_there_is_no_mean_of_mistakes() -> None:
    ((found, chance),) = mean_over_mistakes(np.diag([3.0, 2, 1, 1, 1])[None], distances(LEVELS))
    assert np.isnan(found) and not np.isnan(chance)
