"""Tests of concepts, against scikit-learn, by hand, and where there is nothing to find."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tasks.evaluate.concept_tests import (
    CoOccurrence,
    co_occurrences,
    concept_aurocs,
    concept_existence,
    concept_global_importance,
    find_concepts,
    global_importance,
    reasons,
    weighted_mean,
)


def _draw(images: int, concepts: int, signal: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    present = generator.random((images, concepts)) < 0.3
    return (signal * present + generator.normal(size=present.shape)).round(1), present


def test_areas_are_scikit_learns_and_missing_where_nothing_varies() -> None:
    scores, present = _draw(60, 4, 1.0)
    present[:, 2], present[:, 3] = True, False
    areas = concept_aurocs(scores, present)
    expected = [roc_auc_score(present[:, j], scores[:, j]) for j in (0, 1)]
    np.testing.assert_allclose(areas[:2], expected)
    assert np.isnan(areas[2:]).all()


def test_a_score_that_finds_its_concept_beats_every_permutation() -> None:
    scores, present = _draw(200, 5, 2.0)
    scores[:, 4] = np.random.default_rng(1).normal(size=200)
    found = find_concepts(scores, present, np.arange(200), permutations=199, seed=0)
    np.testing.assert_allclose(found.auroc, concept_aurocs(scores, present))
    np.testing.assert_allclose(found.p_value[:4], 1 / 200)
    np.testing.assert_allclose(found.family_p_value[:4], 1 / 200)
    assert found.p_value[4] > 0.05
    assert ((found.chance_95 > 0.5) & (found.chance_95 < 0.65)).all()


def test_chance_passes_as_often_as_it_says_and_the_family_hardly_ever() -> None:
    scores, present = _draw(100, 300, 0.0)
    found = find_concepts(scores, present, np.arange(100), permutations=199, seed=0)
    assert 0.02 < (found.p_value <= 0.05).mean() < 0.085
    assert (found.family_p_value >= found.p_value).all()
    assert (found.family_p_value <= 0.05).sum() <= 1


def test_images_of_one_person_find_nothing_if_they_are_exchanged_together() -> None:
    generator = np.random.default_rng(0)
    person = np.repeat(np.arange(20), 10)
    present = (generator.random((20, 200)) < 0.5)[person]
    scores = generator.normal(size=(20, 200))[person] + 0.1 * generator.normal(size=(200, 200))
    together = find_concepts(scores, present, person, permutations=99, seed=0).p_value
    apart = find_concepts(scores, present, np.arange(200), permutations=99, seed=0).p_value
    assert (together <= 0.05).mean() < 0.1
    assert (apart <= 0.05).mean() > 0.25


def test_labels_are_exchanged_between_groups_of_equal_size_only() -> None:
    groups = np.array(["a", "a", "a", "b"])
    present = np.array([[True], [True], [False], [False]])
    found = find_concepts(np.array([[3.0], [2], [1], [0]]), present, groups, 50, seed=0)
    assert found.p_value[0] == 1  # nothing can be exchanged
    assert found.chance_95[0] == found.auroc[0] == 1


def test_a_concept_without_both_values_has_no_p_value() -> None:
    scores, present = _draw(30, 2, 1.0)
    present[:, 1] = False
    found = find_concepts(scores, present, np.arange(30), permutations=20, seed=0)
    assert np.isnan([found.auroc[1], found.p_value[1], found.family_p_value[1]]).all()
    assert found.p_value[0] <= found.family_p_value[0] <= 1


def test_importance_ignores_what_all_classes_share() -> None:
    weights = np.array([[1.0, 2.0], [3.0, 2.0]])
    scores = np.array([[0.0, 0], [2, 8]])
    expected = np.array(
        [[-1.0, 0], [1, 0]]
    )  # deviations of -1 and 1 times a spread of 1; then nothing
    np.testing.assert_allclose(global_importance(weights, scores), expected)
    np.testing.assert_allclose(global_importance(weights + np.array([5.0, -3]), scores), expected)


def test_global_importance_metric_worked_by_hand() -> None:
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    present = np.array([[1, 0], [1, 0], [0, 0], [1, 0]], dtype=bool)
    scores = np.array([[2.0, 1], [4, 1], [1, 2], [9, 9]])
    weights = np.array([[1.0, 0], [-1, 2]])
    found = concept_global_importance(weights, scores, present, labels, predicted)
    # truth of concept 0: (1, 1/2); weights (1, -1); mean scores of right images (3, 1); (3, -1)
    truth = np.array([1, 0.5])
    for match, other in [
        (found.weights, [1, -1]),
        (found.predicted, [3, 1]),
        (found.product, [3, -1]),
    ]:
        cosine = truth @ other / np.linalg.norm(truth) / np.linalg.norm(other)
        assert match.value[0] == pytest.approx(cosine)
        assert np.isnan(match.value[1])  # concept 1 is never there: 0 / 0
    # weights of concept 1 are (0, 2), against the truth of the only other concept
    assert found.weights.of_others[1] == pytest.approx(0.5 / np.linalg.norm(truth))
    assert np.isnan(found.weights.of_others[0])


def test_a_class_never_predicted_right_is_left_out() -> None:
    labels = np.array([0, 1, 2])
    present = np.array([[1], [0], [1]], dtype=bool)
    scores = np.array([[1.0], [1], [5]])
    found = concept_global_importance(
        np.ones((3, 1)), scores, present, labels, predicted=np.array([0, 1, 0])
    )
    assert found.predicted.value[0] == pytest.approx(1 / 2**0.5)  # (1, 0) and (1, 1)


def test_reasons_are_the_strongest_that_speak_for_the_decision() -> None:
    contributions = np.array([[0.1, 3, -1, 2], [-1, 0, -2, 1], [-1, -1, 0, 0]])
    np.testing.assert_array_equal(reasons(contributions, 2), [[1, 3], [3, -1], [-1, -1]])


def test_existence_is_the_share_of_reasons_that_is_there() -> None:
    present = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=bool)
    value = concept_existence(np.array([[1, 3], [3, -1], [-1, -1]]), present)
    np.testing.assert_allclose(value, [0.5, 1, np.nan])
    weights = np.array([[1.0, 1, 1], [3, 1, 9], [0, 0, 2]])
    np.testing.assert_allclose(weighted_mean(value, weights), [0.75, 2.5 / 4, np.nan])


def test_pairs_that_never_part_are_inseparable() -> None:
    a = np.array([1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
    b = np.array([1, 1, 0, 1, 0, 0, 0, 0], dtype=bool)
    c = np.array([1, 1, 0, 0, 0, 0, 0, 0], dtype=bool)
    first, second, third = co_occurrences(np.stack([a, b, c], axis=1))
    assert (first.jaccard, second.jaccard, third.jaccard) == pytest.approx((2 / 3, 2 / 3, 2 / 4))
    assert third == CoOccurrence(0, 1, both=2, only_first=1, only_second=1, neither=4)
    assert (first.empty_cells, second.empty_cells, third.empty_cells) == (1, 1, 0)
    assert first.inseparable
    assert not third.inseparable
    assert CoOccurrence(0, 1, both=96, only_first=1, only_second=1, neither=2).inseparable
    assert np.isnan(CoOccurrence(0, 1, 0, 0, 0, 5).jaccard)
