"""Strategies are counts of what an independent loop finds, and follow the head's symmetries."""

import numpy as np
import pytest
from jaxtyping import Float64, Int

from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.strategies import (
    Strategy,
    concept_leads,
    find_strategies,
    own_reliability,
)

CLASSES, CONCEPTS, IMAGES = 3, 5, 60


@pytest.fixture
def drawn() -> tuple[Float64[np.ndarray, "k m"], Float64[np.ndarray, "n m"]]:
    generator = np.random.default_rng(7)
    return generator.normal(size=(CLASSES, CONCEPTS)), generator.normal(size=(IMAGES, CONCEPTS))


def _deciding(*given: np.ndarray) -> Int[np.ndarray, " image"]:
    return concept_leads(*given).argmax(axis=1)


def _strategies(
    called: Int[np.ndarray, " image"],
    deciding: Int[np.ndarray, " image"],
    labels: Int[np.ndarray, " image"],
) -> tuple[Strategy, ...]:
    bootstrap = ClusterBootstrap.of(np.arange(len(labels)) // 2, 200, seed=0)
    return find_strategies(called, deciding, labels, bootstrap, "percentile", 0.95)


def test_the_deciding_concept_is_the_one_whose_removal_costs_the_class_the_most(
    drawn: tuple[Float64[np.ndarray, "k m"], Float64[np.ndarray, "n m"]],
) -> None:
    """Occlusion: put one score to its mean, and see how far the class falls behind the mean one."""
    weights, scores = drawn
    reference = scores.mean(axis=0)
    called = (scores @ weights.T).argmax(axis=1)

    def lead(image: int, row: Float64[np.ndarray, " m"]) -> float:
        logits = weights @ row
        return float(logits[called[image]] - logits.mean())

    for i, decides in enumerate(_deciding(weights, scores, reference, called)):
        lost = []
        for j in range(CONCEPTS):
            occluded = scores[i].copy()
            occluded[j] = reference[j]
            lost.append(lead(i, scores[i]) - lead(i, occluded))
        assert decides == int(np.argmax(lost))


def test_a_number_added_to_a_column_changes_no_strategy(
    drawn: tuple[Float64[np.ndarray, "k m"], Float64[np.ndarray, "n m"]],
) -> None:
    weights, scores = drawn
    called = (scores @ weights.T).argmax(axis=1)
    moved = weights + np.array([3.0, -2.0, 0.0, 9.0, 1.0])
    before = _deciding(weights, scores, scores.mean(axis=0), called)
    assert (_deciding(moved, scores, scores.mean(axis=0), called) == before).all()


def test_what_concepts_add_is_the_lead_over_the_mean_logit_less_that_of_an_average_image(
    drawn: tuple[Float64[np.ndarray, "k m"], Float64[np.ndarray, "n m"]],
) -> None:
    weights, scores = drawn
    bias, reference = np.array([0.4, -0.1, 2.0]), scores.mean(axis=0)
    logits = scores @ weights.T + bias
    start = weights @ reference + bias
    called = logits.argmax(axis=1)
    lead = logits.max(axis=1) - logits.mean(axis=1)
    added = concept_leads(weights, scores, reference, called).sum(axis=1)
    assert added + (start - start.mean())[called] == pytest.approx(lead)


def test_classes_in_another_order_have_the_same_strategies(
    drawn: tuple[Float64[np.ndarray, "k m"], Float64[np.ndarray, "n m"]],
) -> None:
    weights, scores = drawn
    labels = np.random.default_rng(1).integers(0, CLASSES, IMAGES)
    order = np.array([2, 0, 1])  # class k stands at place order[k]

    def told(weights: np.ndarray, labels: np.ndarray, names: np.ndarray) -> dict[object, object]:
        called = (scores @ weights.T).argmax(axis=1)
        found = _strategies(called, _deciding(weights, scores, scores.mean(axis=0), called), labels)
        return {
            (int(names[s.class_index]), s.concept_index): (s.images, s.prevalence, s.reliability)
            for s in found
        }

    moved = np.empty_like(weights)
    moved[order] = weights
    assert told(moved, order[labels], np.argsort(order)) == told(
        weights, labels, np.arange(CLASSES)
    )


def test_all_right_leaves_the_doubt_that_few_groups_leave() -> None:
    """Four images of two groups, all right: Clopper and Pearson have .025^(1/2) for 2 of 2."""
    called = np.zeros(6, dtype=np.int64)
    deciding = np.array([0, 0, 0, 0, 1, 1])
    labels = np.array([0, 0, 0, 0, 1, 1])
    right, wrong = _strategies(called, deciding, labels)
    assert (right.reliability.value, right.reliability.high) == (1, 1)
    assert right.reliability.low == pytest.approx(0.025**0.5)
    assert (wrong.reliability.value, wrong.reliability.low) == (0, 0)
    assert wrong.reliability.high == pytest.approx(0.975)


def test_images_are_as_reliable_as_known_ones_that_are_decided_alike() -> None:
    of_strategy, of_class = own_reliability(
        known_called=np.array([0, 0, 0, 1]),
        known_deciding=np.array([2, 2, 3, 2]),
        known_labels=np.array([0, 1, 0, 1]),
        called=np.array([0, 0, 1, 1, 2]),
        deciding=np.array([2, 3, 2, 3, 3]),
    )
    assert of_strategy == pytest.approx([1 / 2, 1, 1, np.nan, np.nan], nan_ok=True)
    assert of_class == pytest.approx([2 / 3, 2 / 3, 1, 1, np.nan], nan_ok=True)


def test_prevalence_and_reliability_are_the_shares_that_counting_finds() -> None:
    called = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    deciding = np.array([2, 2, 2, 4, 4, 2, 2, 2])
    labels = np.array([0, 0, 1, 0, 1, 1, 1, 1])
    found = _strategies(called, deciding, labels)
    assert [(s.class_index, s.concept_index, s.images) for s in found] == [
        (0, 2, 3),
        (0, 4, 2),
        (1, 2, 3),
    ]
    assert [s.prevalence.value for s in found] == pytest.approx([3 / 5, 2 / 5, 1])
    assert [s.reliability.value for s in found] == pytest.approx([2 / 3, 1 / 2, 1])


def test_the_prevalences_of_a_class_sum_to_one_and_intervals_hold_their_values(
    drawn: tuple[Float64[np.ndarray, "k m"], Float64[np.ndarray, "n m"]],
) -> None:
    weights, scores = drawn
    called = (scores @ weights.T).argmax(axis=1)
    labels = np.random.default_rng(1).integers(0, CLASSES, IMAGES)
    found = _strategies(called, _deciding(weights, scores, scores.mean(axis=0), called), labels)
    for k in np.unique(called):
        assert sum(s.prevalence.value for s in found if s.class_index == k) == pytest.approx(1)
    for s in found:
        assert s.images > 0
        for interval in (s.prevalence, s.reliability):
            assert interval.low <= interval.value <= interval.high
