"""Claims about class similarity and mutual information, checked by hand and by other formulas."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy

from curette.tasks.methods.selection.discriminability import class_similarity, mutual_information

SEEDS = range(5)


def positive(seed: int, concepts: int = 30, classes: int = 7) -> np.ndarray:
    """Cosines as encoders give them: all near 0.25, with little between the classes."""
    return np.random.default_rng(seed).normal(0.25, 0.01, size=(concepts, classes))


def joint_of(similarity: np.ndarray) -> np.ndarray:
    return similarity / similarity.sum(axis=0) / similarity.shape[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_scores_sum_to_the_mutual_information_of_concept_and_class(seed: int) -> None:
    joint = joint_of(positive(seed))
    assert joint.sum() == pytest.approx(1)
    assert joint.sum(axis=0) == pytest.approx(np.full(7, 1 / 7))
    concept_and_class = (
        entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint.ravel())
    )
    scores = mutual_information(positive(seed))
    assert scores.sum() == pytest.approx(concept_and_class, rel=1e-8)
    assert (scores >= 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_score_is_mass_times_log_k_less_the_entropy_of_its_classes(seed: int) -> None:
    """MI(c) = p(c) (log K + D(c)), where D is the negative entropy of the class given c."""
    joint = joint_of(positive(seed))
    mass = joint.sum(axis=1)
    expected = mass * (np.log(7) - entropy(joint / mass[:, None], axis=1))
    np.testing.assert_allclose(mutual_information(positive(seed)), expected, atol=1e-15)


def test_two_by_two_worked_by_hand() -> None:
    # Columns sum to 1, so p = s / 2 and p(c) = 1/2: r = [3/2, 1/2] and [1/2, 3/2].
    expected = 0.375 * np.log(1.5) + 0.125 * np.log(0.5)
    scores = mutual_information(np.array([[0.75, 0.25], [0.25, 0.75]]))
    np.testing.assert_allclose(scores, [expected, expected], rtol=1e-14)


def test_a_concept_of_one_class_only_scores_its_mass_times_log_k() -> None:
    scores = mutual_information(np.array([[0.5, 0.0], [0.5, 1.0]]))
    assert scores[0] == pytest.approx(0.25 * np.log(2))


def test_a_concept_that_is_equal_in_all_classes_scores_zero() -> None:
    similarity = np.array([[0.3, 0.3, 0.3], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
    assert mutual_information(similarity)[0] == pytest.approx(0, abs=1e-30)


def test_tiny_differences_survive() -> None:
    """To second order, MI(c) is p(c) times half the mean squared relative deviation."""
    deviation = 1e-7
    similarity = 0.25 * (1 + deviation * np.array([[1.0, -1.0], [-1.0, 1.0]]))
    expected = 0.5 * deviation**2 / 2
    np.testing.assert_allclose(mutual_information(similarity), expected, rtol=1e-5)


def test_a_concept_that_resembles_no_class_scores_zero() -> None:
    scores = mutual_information(np.array([[0.0, 0.0], [0.2, 0.3]]))
    assert scores[0] == 0
    assert np.isfinite(scores).all()


def test_a_class_that_resembles_no_concept_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Classes \[1\] have no similarity to any concept"):
        mutual_information(np.array([[0.1, 0.0], [0.2, 0.0]]))


@pytest.mark.parametrize("bad", [-0.1, np.nan])
def test_a_bad_similarity_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"clip cosine with max\(0, s\) before averaging"):
        mutual_information(np.array([[0.1, bad], [0.2, 0.3]]))


def test_similarity_is_the_mean_of_the_clipped_similarities_of_a_class() -> None:
    rng = np.random.default_rng(0)
    images, concepts = rng.normal(size=(40, 6)), rng.normal(size=(9, 6))
    labels = np.r_[[0, 1, 2], rng.integers(3, size=37)]
    expected = [
        [np.mean([max(0.0, float(x @ t)) for x in images[labels == y]]) for y in range(3)]
        for t in concepts
    ]
    np.testing.assert_allclose(class_similarity(images, labels, concepts, 3), expected)


def test_similarity_to_the_mean_image_agrees_only_where_nothing_is_negative() -> None:
    images = np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0], [0.6, 0.8]])
    labels = np.array([0, 0, 1, 1])
    concepts = np.array([[1.0, 0.0]])
    means = np.array([[0.8, -0.2]])
    similarity = class_similarity(images, labels, concepts, 2)
    assert similarity[0, 0] == pytest.approx(means[0, 0])
    assert similarity[0, 1] == pytest.approx(0.3), "an opposed image must not cancel a match"


def test_blocks_do_not_change_the_similarity(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    images, concepts = rng.normal(size=(50, 8)), rng.normal(size=(33, 8))
    labels = np.arange(50) % 4
    whole = class_similarity(images, labels, concepts, 4)
    monkeypatch.setattr("curette.tasks.methods.selection.discriminability._BLOCK", 100)
    np.testing.assert_allclose(class_similarity(images, labels, concepts, 4), whole, rtol=1e-14)


def test_a_class_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Classes \[1\] have no training image.*at least one"):
        class_similarity(np.eye(2), np.array([0, 2]), np.eye(2), 3)


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0]])
def test_a_label_outside_the_classes_is_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="2 classes are numbered 0 to 1"):
        class_similarity(np.eye(2), np.array(labels), np.eye(2), 2)


def test_real_image_and_text_vectors_score_within_the_bounds_of_information(
    shared_data: Path,
) -> None:
    """Scores of real cosines are tiny, not negative, and sum to less than the class entropy."""
    with np.load(sorted((shared_data / "ph2-clip").glob("*.npz"))[0]) as ph2:
        images, texts = ph2["image_embeddings"], ph2["text_embeddings"]
        labels = np.unique(ph2["labels"], return_inverse=True)[1]
    images = images / np.linalg.norm(images, axis=1, keepdims=True)
    texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    scores = mutual_information(class_similarity(images, labels, texts, 2))
    assert (scores >= 0).all()
    assert 0 < scores.sum() < np.log(2)
