"""Every metric is scikit-learn's, also on resamples, and says what it does when a class is gone."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from curette.schemas.metrics import MetricName
from curette.tasks.methods.statistics.metrics import (
    METRICS,
    accuracy,
    balanced_accuracy,
    confusion_matrices,
    expected_calibration_error,
    log_loss,
    macro_auroc,
    macro_f1,
    metrics_of,
)


def _draw(images: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels with a rare class, and probabilities that know something and often tie."""
    generator = np.random.default_rng(seed)
    shares = 0.6 ** np.arange(classes)
    labels = generator.choice(classes, images, p=shares / shares.sum())
    scores = generator.integers(0, 4, (images, classes)) + 2.0 * np.eye(classes)[labels] + 1
    return labels, scores / scores.sum(1, keepdims=True)


def _once(labels: np.ndarray) -> np.ndarray:
    return np.ones((1, len(labels)))


def _brute_force_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    total = 0.0
    for b in range(15):
        members = [i for i, row in enumerate(probabilities) if b / 15 < row.max() <= (b + 1) / 15]
        right = sum(probabilities[i].argmax() == labels[i] for i in members)
        total += abs(right - sum(probabilities[i].max() for i in members))
    return total / len(labels)


def _one_versus_rest(labels: np.ndarray, probabilities: np.ndarray) -> float:
    present = np.unique(labels)
    return float(
        np.mean([sklearn_metrics.roc_auc_score(labels == k, probabilities[:, k]) for k in present])
    )


_REFERENCES: dict[MetricName, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda y, p: sklearn_metrics.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: sklearn_metrics.balanced_accuracy_score(y, p.argmax(1)),
    "macro_f1": lambda y, p: sklearn_metrics.f1_score(y, p.argmax(1), average="macro"),
    "macro_auroc": _one_versus_rest,
    "expected_calibration_error": _brute_force_calibration_error,
    "log_loss": lambda y, p: sklearn_metrics.log_loss(y, p, labels=range(p.shape[1])),
}


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("name", METRICS)
def test_each_metric_at_integer_weights_is_that_of_the_repeated_images(
    name: MetricName, classes: int
) -> None:
    labels, probabilities = _draw(60, classes)
    weights = np.random.default_rng(1).poisson(1.0, (20, 60)).astype(float)
    weights[0] = 1
    values = metrics_of(labels, probabilities)(weights)[:, METRICS.index(name)]
    for value, counts in zip(values, weights.astype(int), strict=True):
        repeated = np.repeat(np.arange(60), counts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes that a resample lost
            expected = _REFERENCES[name](labels[repeated], probabilities[repeated])
        assert value == pytest.approx(expected, abs=1e-12)


def test_the_resamples_above_do_lose_a_class() -> None:
    labels, _ = _draw(60, 5)
    weights = np.random.default_rng(1).poisson(1.0, (20, 60))
    assert any(len(np.unique(labels[row > 0])) < 5 for row in weights)


def test_confusion_rows_are_true_and_columns_predicted() -> None:
    labels = np.array([0, 0, 1, 2])
    probabilities = np.eye(3)[[0, 1, 1, 0]]
    weights = np.array([[1.0, 1, 1, 1], [0, 3, 0, 2]])
    first, second = confusion_matrices(labels, probabilities, weights)
    np.testing.assert_array_equal(first, [[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(second, [[0, 3, 0], [0, 0, 0], [2, 0, 0]])


def test_confusion_of_batches_adds_up_to_that_of_the_whole() -> None:
    labels, probabilities = _draw(50, 4)
    whole = confusion_matrices(labels, probabilities, _once(labels))
    parts = [slice(0, 16), slice(16, 32), slice(32, 48), slice(48, 50)]
    batches = [confusion_matrices(labels[at], probabilities[at], _once(labels[at])) for at in parts]
    np.testing.assert_array_equal(whole, sum(batches))


def test_many_weightings_at_once_are_each_alone_and_image_order_is_nothing() -> None:
    labels, probabilities = _draw(50, 4)
    generator = np.random.default_rng(2)
    weights = generator.poisson(1.0, (6, 50)).astype(float)
    together = metrics_of(labels, probabilities)(weights)
    alone = [metrics_of(labels, probabilities)(row[None]) for row in weights]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-14)
    order = generator.permutation(50)
    shuffled = metrics_of(labels[order], probabilities[order])(weights[:, order])
    np.testing.assert_allclose(together, shuffled, atol=1e-14)


def test_a_class_without_images_is_left_out_of_balanced_accuracy() -> None:
    confusion = np.array([[[3.0, 1, 0], [0, 2, 2], [0, 0, 0]]])
    assert balanced_accuracy(confusion) == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert accuracy(confusion) == pytest.approx(5 / 8)


def test_a_class_that_is_only_predicted_counts_0_in_macro_f1_and_one_never_seen_not() -> None:
    predicted = np.array([[[3.0, 1, 0], [0, 2, 2], [0, 0, 0]]])
    assert macro_f1(predicted) == pytest.approx((6 / 7 + 4 / 7 + 0) / 3)
    unseen = np.array([[[3.0, 1, 0], [0, 4, 0], [0, 0, 0]]])
    assert macro_f1(unseen) == pytest.approx((6 / 7 + 8 / 9) / 2)


def test_a_class_that_weighs_nothing_is_left_out_to_the_bit() -> None:
    """Weights of confounded shifts are no whole numbers, and sums of them leave residues."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 6 + [1] * 5)
    probabilities = rng.dirichlet(np.ones(2), 11)
    weights = rng.random((200, 11))
    weights[:, labels == 1] = 0
    assert np.isnan(macro_auroc(labels, probabilities, weights)).all()


def test_a_class_without_images_is_left_out_of_macro_auroc() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.5, 0.4, 0.1], [0.1, 0.7, 0.2]])
    # class 0: .7 and .3 against .5 and .1 wins 3 of 4; class 1: .4 and .7 against .2 and .4, 3.5
    assert macro_auroc(labels, probabilities, _once(labels)) == pytest.approx((3 + 3.5) / 8)


def test_a_weighting_of_one_class_has_no_auroc_and_of_no_image_nothing() -> None:
    labels, probabilities = _draw(30, 3)
    one_class, no_image = (labels == 0).astype(float), np.zeros(30)
    values = metrics_of(labels, probabilities)(np.stack([one_class, no_image]))
    assert np.isnan(values[0]).tolist() == [name == "macro_auroc" for name in METRICS]
    assert np.isnan(values[1]).all()


def test_auroc_of_a_constant_score_is_one_half() -> None:
    labels = np.array([0, 1, 1, 2, 2, 2])
    assert macro_auroc(labels, np.full((6, 3), 1 / 3), _once(labels)) == pytest.approx(0.5)


def test_calibration_error_of_a_sample_worked_by_hand() -> None:
    confidence = np.array([0.90, 0.92, 0.55, 0.58, 0.59])
    labels = np.array([0, 1, 0, 0, 1])  # class 0 is predicted each time
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    # (13/15, 14/15]: right 1, confidence 1.82; (8/15, 9/15]: right 2, confidence 1.72
    expected = (abs(1 - 1.82) + abs(2 - 1.72)) / 5
    assert expected_calibration_error(labels, probabilities, _once(labels)) == pytest.approx(
        expected
    )


def test_log_loss_of_an_image_that_was_ruled_out_is_large_but_finite() -> None:
    loss = log_loss(np.array([0]), np.array([[0.0, 1.0]]), np.ones((1, 1)))
    assert loss == pytest.approx(52 * np.log(2))


def test_logits_instead_of_probabilities_say_how_to_fix_it() -> None:
    with pytest.raises(ValueError, match=r"usually these are logits\. Pass their softmax"):
        metrics_of(np.array([0, 1]), np.array([[2.0, -1.0], [0.5, 0.1]]))


def test_a_label_beyond_the_classes_says_what_to_compare() -> None:
    with pytest.raises(
        ValueError, match=r"heads were trained on another class list\. Compare both"
    ):
        metrics_of(np.array([0, 2]), np.array([[0.5, 0.5], [0.5, 0.5]]))
