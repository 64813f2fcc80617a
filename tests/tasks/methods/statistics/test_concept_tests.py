"""Tests of concepts, against scikit-learn, by hand, and where there is nothing to find."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from curette.tasks.methods.statistics.concept_tests import (
    ConceptsFound,
    CoOccurrence,
    co_occurrence,
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


def _find(
    scores: np.ndarray, present: np.ndarray, groups: np.ndarray, permutations: int
) -> ConceptsFound:
    """Test concepts of which everything is known."""
    known = np.ones_like(present)
    return find_concepts(scores, present, known, groups, permutations, seed=0)


def test_areas_are_scikit_learns_of_what_is_known_and_missing_where_nothing_varies() -> None:
    scores, present = _draw(60, 4, 1.0)
    present[:, 2], present[:, 3] = True, False
    known = np.random.default_rng(1).random(present.shape) < 0.7
    found = find_concepts(scores, present, known, np.arange(60), permutations=20, seed=0)
    for j in (0, 1):
        rows = known[:, j]
        assert found.auroc[j] == pytest.approx(roc_auc_score(present[rows, j], scores[rows, j]))
    for values in (found.auroc, found.p_value, found.family_p_value, found.chance_95):
        assert np.isnan(values[2:]).all()
    assert (found.p_value[:2] <= found.family_p_value[:2]).all()
    assert (found.family_p_value[:2] <= 1).all()


def test_permuted_areas_are_scikit_learns_under_each_permutation() -> None:
    """Two images that change places: half of the permutations turn the area over."""
    scores = np.array([[2.0], [1.0]])
    found = _find(scores, np.array([[True], [False]]), np.arange(2), 1000)
    assert found.auroc[0] == found.chance_95[0] == 1
    assert found.p_value[0] == pytest.approx(0.5, abs=0.05)


def test_a_score_that_finds_its_concept_beats_every_permutation() -> None:
    scores, present = _draw(200, 5, 2.0)
    scores[:, 4] = np.random.default_rng(1).normal(size=200)
    found = _find(scores, present, np.arange(200), 199)
    np.testing.assert_allclose(found.p_value[:4], 1 / 200)
    np.testing.assert_allclose(found.family_p_value[:4], 1 / 200)
    assert found.p_value[4] > 0.05
    assert ((found.chance_95 > 0.5) & (found.chance_95 < 0.65)).all()


def test_scattered_unknowns_do_not_hide_what_is_found() -> None:
    _, present = _draw(200, 60, 0.0)
    known = np.random.default_rng(1).random(present.shape) > 0.02
    assert len(np.unique(known, axis=1).T) > 50
    found = find_concepts(present * 1.0, present, known, np.arange(200), permutations=99, seed=0)
    np.testing.assert_allclose(found.family_p_value, 1 / 100)


def test_concepts_known_of_few_images_do_not_hide_the_others() -> None:
    """Areas of four images are often 1 by luck, which says little; one of 200 hardly ever is."""
    scores, present = _draw(200, 40, 0.0)
    scores[:, 0] += present[:, 0]
    known = np.zeros_like(present)
    known[:, 0] = True
    for j in range(1, 40):
        known[[*np.flatnonzero(present[:, j])[:2], *np.flatnonzero(~present[:, j])[:2]], j] = True
    found = find_concepts(scores, present, known, np.arange(200), permutations=199, seed=0)
    assert found.auroc[1:].max() == 1 > found.auroc[0]
    assert found.family_p_value[0] < 0.05
    assert found.family_p_value[1:].min() > 0.05


def test_unknown_truth_is_never_looked_at() -> None:
    scores, present = _draw(80, 3, 1.0)
    known = np.random.default_rng(1).random(present.shape) < 0.6
    groups = np.arange(80) // 2
    first = find_concepts(scores, present, known, groups, permutations=50, seed=0)
    second = find_concepts(scores, present ^ ~known, known, groups, permutations=50, seed=0)
    np.testing.assert_array_equal(first.p_value, second.p_value)
    np.testing.assert_array_equal(first.family_p_value, second.family_p_value)


def test_unknowns_that_follow_the_score_find_nothing() -> None:
    """The upper half of the scores is unknown, mostly; the truth of the rest is luck."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(100, 300))
    known = (scores < 0) | (generator.random(scores.shape) < 0.2)
    present = generator.random(scores.shape) < 0.4
    found = find_concepts(scores, present, known, np.arange(100), permutations=199, seed=0)
    assert 0.02 < (found.p_value <= 0.05).mean() < 0.085
    assert (found.family_p_value <= 0.05).sum() <= 1


def test_chance_passes_as_often_as_it_says_and_the_family_hardly_ever() -> None:
    scores, present = _draw(100, 300, 0.0)
    found = _find(scores, present, np.arange(100), 199)
    assert 0.02 < (found.p_value <= 0.05).mean() < 0.085
    assert (found.family_p_value >= found.p_value).all()
    assert (found.family_p_value <= 0.05).sum() <= 1


def test_images_of_one_person_find_nothing_if_they_are_exchanged_together() -> None:
    generator = np.random.default_rng(0)
    person = np.repeat(np.arange(20), 10)
    present = (generator.random((20, 200)) < 0.5)[person]
    scores = generator.normal(size=(20, 200))[person] + 0.1 * generator.normal(size=(200, 200))
    together = _find(scores, present, person, 99).p_value
    apart = _find(scores, present, np.arange(200), 99).p_value
    assert (together <= 0.05).mean() < 0.1
    assert (apart <= 0.05).mean() > 0.25


def test_labels_are_exchanged_between_groups_of_equal_size_only() -> None:
    groups = np.array(["a", "a", "a", "b"])
    present = np.array([[True], [True], [False], [False]])
    found = _find(np.array([[3.0], [2], [1], [0]]), present, groups, 50)
    assert found.p_value[0] == 1  # nothing can be exchanged
    assert found.chance_95[0] == found.auroc[0] == 1


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
    assert co_occurrence(a, b) == CoOccurrence(both=2, only_first=1, only_second=1, neither=4)
    assert co_occurrence(a, c) == CoOccurrence(both=2, only_first=1, only_second=0, neither=5)
    assert (co_occurrence(a, b).jaccard, co_occurrence(a, c).jaccard) == (2 / 4, 2 / 3)
    assert not co_occurrence(a, b).inseparable
    assert co_occurrence(a, c).inseparable
    assert CoOccurrence(both=96, only_first=1, only_second=1, neither=2).inseparable
    assert np.isnan(CoOccurrence(0, 0, 0, 5).jaccard)
