"""Interventions change what was read wrong, and nothing else."""

import numpy as np
import pytest

from curette.tasks.methods.statistics.intervention import (
    intervene,
    most_uncertain_first,
    most_weighted_first,
    random_order,
    read_concepts,
)


def _everywhere(present: np.ndarray) -> np.ndarray:
    return np.ones(present.shape, dtype=bool)


def _separable(
    images: int, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, truth and labels of three classes, and a head that is always right on true scores."""
    generator = np.random.default_rng(0)
    of_class = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]], dtype=bool)
    labels = generator.integers(0, 3, images)
    present = of_class[labels]
    scores = 0.2 + 0.1 * present + noise * generator.normal(size=present.shape)
    return scores, present, labels, of_class.astype(float), np.zeros(3)


def _orders(
    probability: np.ndarray, weights: np.ndarray, predicted: np.ndarray
) -> dict[str, np.ndarray]:
    return {
        "uncertain": most_uncertain_first(probability),
        "weighted": most_weighted_first(weights, predicted),
        "random": random_order(len(probability), probability.shape[1], seed=0),
    }


@pytest.mark.parametrize("order", ["uncertain", "weighted", "random"])
def test_the_truth_never_lowers_mean_accuracy_where_it_decides_the_class(order: str) -> None:
    scores, present, labels, weights, bias = _separable(400, noise=0.08)
    reading = read_concepts(scores, present, _everywhere(present))
    logits = scores @ weights.T + bias
    looked = _orders(reading.probability(scores), weights, logits.argmax(1))[order]
    steps = intervene(
        logits,
        weights,
        scores,
        reading.correct(scores, present, _everywhere(present)),
        looked,
    )
    accuracy = (steps.argmax(2) == labels[:, None]).mean(0)
    assert accuracy.shape == (7,)
    assert accuracy[0] == np.mean(logits.argmax(1) == labels) < 0.9
    assert (np.diff(accuracy) >= 0).all()
    assert accuracy[-1] > 0.99


def test_looking_at_uncertain_concepts_first_gains_faster_than_at_random() -> None:
    scores, present, labels, weights, bias = _separable(2000, noise=0.08)
    reading = read_concepts(scores, present, _everywhere(present))
    logits = scores @ weights.T + bias
    orders = _orders(reading.probability(scores), weights, logits.argmax(1))
    corrected = reading.correct(scores, present, _everywhere(present))
    after_two = {
        name: (intervene(logits, weights, scores, corrected, o)[:, 2].argmax(1) == labels).mean()
        for name, o in orders.items()
    }
    assert after_two["uncertain"] > after_two["random"]


def test_intervening_with_what_was_predicted_changes_nothing() -> None:
    scores, present, _, weights, bias = _separable(100, noise=0.08)
    reading = read_concepts(scores, present, _everywhere(present))
    as_read = reading.probability(scores) > 0.5
    np.testing.assert_array_equal(reading.correct(scores, as_read, _everywhere(present)), scores)
    logits = scores @ weights.T + bias
    steps = intervene(logits, weights, scores, scores, random_order(100, 6, 0))
    assert (steps == logits[:, None]).all()


def test_only_concepts_that_were_read_wrong_become_typical() -> None:
    scores, present, *_ = _separable(200, noise=0.05)
    reading = read_concepts(scores, present, _everywhere(present))
    wrong = (reading.probability(scores) > 0.5) != present
    corrected = reading.correct(scores, present, _everywhere(present))
    assert 0 < wrong.sum() < wrong.size / 2
    np.testing.assert_array_equal(corrected[~wrong], scores[~wrong])
    typical = np.where(present, reading.present, reading.absent)
    np.testing.assert_array_equal(corrected[wrong], typical[wrong])


def test_the_last_step_is_the_head_on_corrected_scores_whatever_the_order() -> None:
    scores, present, _, weights, _ = _separable(50, noise=0.1)
    corrected = read_concepts(scores, present, _everywhere(present)).correct(
        scores, present, _everywhere(present)
    )
    residual = 0.1 * np.random.default_rng(1).normal(size=(50, 3))
    expected = corrected @ weights.T + residual
    for seed in range(3):
        order = random_order(50, 6, seed)
        steps = intervene(scores @ weights.T + residual, weights, scores, corrected, order)
        np.testing.assert_allclose(steps[:, -1], expected, atol=1e-12)


def test_a_reading_worked_by_hand() -> None:
    scores = np.array([[0.0], [2], [4], [6]])
    reading = read_concepts(scores, scores > 3, scores >= 0)
    assert (reading.absent[0], reading.present[0], reading.variance[0]) == (1, 5, 1)
    # midway is even; one above it the log odds are 1 x (5 - 1) / 1
    np.testing.assert_allclose(
        reading.probability(np.array([[3.0], [4.0]]))[:, 0], [0.5, 1 / (1 + np.exp(-4))]
    )


def test_a_concept_that_training_never_showed_is_uncertain_and_left_alone() -> None:
    there = np.ones((2, 1), dtype=bool)
    reading = read_concepts(np.array([[0.1], [0.3]]), ~there, there)
    scores = np.array([[0.2], [5.0]])
    np.testing.assert_array_equal(reading.probability(scores), np.full((2, 1), 0.5))
    np.testing.assert_array_equal(reading.correct(scores, there, there), scores)


def test_what_is_not_known_teaches_nothing_and_is_not_corrected() -> None:
    scores = np.array([[0.0], [2], [4], [6], [100]])
    known = scores < 50
    reading = read_concepts(scores, (scores > 3) & known, known)
    assert (reading.absent[0], reading.present[0], reading.variance[0]) == (1, 5, 1)
    wrong = np.array([[6.0], [6.0]])
    absent, told = np.zeros((2, 1), dtype=bool), np.array([[True], [False]])
    np.testing.assert_array_equal(reading.correct(wrong, absent, told), [[1], [6]])


def test_orders_are_permutations_and_mean_what_they_say() -> None:
    probability = np.array([[0.9, 0.5, 0.2], [0.01, 0.6, 0.99]])
    np.testing.assert_array_equal(most_uncertain_first(probability), [[1, 2, 0], [1, 0, 2]])
    weights = np.array([[5.0, 1, -2], [5, -1, 2], [5, 0, 9]])  # the first is the same for all
    np.testing.assert_array_equal(
        most_weighted_first(weights, np.array([2, 0])), [[2, 0, 1], [2, 1, 0]]
    )
    drawn = random_order(30, 5, seed=1)
    np.testing.assert_array_equal(np.sort(drawn), np.tile(np.arange(5), (30, 1)))
    assert len(np.unique(drawn, axis=0)) > 10
    np.testing.assert_array_equal(drawn, random_order(30, 5, seed=1))
