"""The calibration error without its bias, against pairs counted one by one and simulations."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from curette.tasks.methods.statistics.calibration import (
    at_temperature,
    debiased_calibration_error_of,
    equal_mass_reliability,
    fit_temperature,
)
from curette.tasks.methods.statistics.metrics import expected_calibration_error


def _binary(confidence: np.ndarray) -> np.ndarray:
    return np.stack([confidence, 1 - confidence], axis=1)


def _once(count: int) -> np.ndarray:
    return np.ones((1, count))


def _by_pairs(
    labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray, bins: int
) -> float:
    """The mean over bins of d_i d_j over all ordered pairs of images of different groups."""
    confidence = probabilities.max(1)
    d = (probabilities.argmax(1) == labels) - confidence
    total, mass = 0.0, 0
    for b in np.array_split(np.argsort(confidence), bins):
        pairs = [(i, j) for i in b for j in b if groups[i] != groups[j]]
        total += len(b) * float(np.mean([d[i] * d[j] for i, j in pairs]))
        mass += len(b)
    return max(total / mass, 0.0) ** 0.5


def test_it_is_the_mean_product_of_gaps_over_pairs_of_different_groups() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.permutation(np.linspace(0.51, 0.99, 60))
    labels = generator.integers(0, 2, 60)
    probabilities = _binary(confidence)
    for groups in (np.arange(60), np.arange(60) // 3):
        value = debiased_calibration_error_of(labels, probabilities, groups, bins=4)(_once(60))
        assert value[0] == pytest.approx(_by_pairs(labels, probabilities, groups, 4))
        assert value[0] > 0.1


def test_a_sample_worked_by_hand() -> None:
    confidence, labels = np.array([0.6, 0.7, 0.8, 0.9]), np.array([1, 1, 1, 0])
    # gaps -.6, -.7, -.8, .1: sum -2, squares sum to 1.5; (4 - 1.5) / 12 pairs
    value = debiased_calibration_error_of(labels, _binary(confidence), np.arange(4), bins=1)(
        _once(4)
    )
    assert value[0] == pytest.approx((2.5 / 12) ** 0.5)


def test_copies_of_an_image_in_a_resample_are_no_pair() -> None:
    generator = np.random.default_rng(1)
    probabilities = _binary(generator.uniform(0.5, 1, 30))
    labels = generator.integers(0, 2, 30)
    weights = generator.poisson(1.0, (5, 30)).astype(float)
    values = debiased_calibration_error_of(labels, probabilities, np.arange(30), bins=1)(weights)
    for value, row in zip(values, weights.astype(int), strict=True):
        repeated = np.repeat(np.arange(30), row)
        expected = _by_pairs(labels[repeated], probabilities[repeated], repeated, 1)
        assert value == pytest.approx(expected)


def test_it_finds_the_true_error_where_the_usual_one_reads_chance() -> None:
    generator = np.random.default_rng(2)
    found: dict[float, list[tuple[float, float]]] = {0.0: [], 0.15: []}
    for gap, values in found.items():
        for _ in range(200):
            confidence = generator.uniform(0.65, 1, 200)
            labels = (generator.random(200) > confidence - gap).astype(int)
            sample = labels, _binary(confidence)
            debiased = debiased_calibration_error_of(*sample, np.arange(200))(_once(200))
            usual = expected_calibration_error(*sample, _once(200))
            values.append((float(debiased[0]), float(usual[0])))
    calibrated, off = (np.array(values) for values in found.values())
    assert np.median(calibrated[:, 0]) < 0.02 < np.median(calibrated[:, 1])
    assert off[:, 0].mean() == pytest.approx(0.15, abs=0.01)


def test_resampling_does_not_raise_it() -> None:
    generator = np.random.default_rng(3)
    confidence = generator.uniform(0.65, 1, 300)
    labels = (generator.random(300) > confidence - 0.15).astype(int)
    sample = labels, _binary(confidence)
    weights = generator.multinomial(300, np.full(300, 1 / 300), 500).astype(float)
    whole, resampled = (
        debiased_calibration_error_of(*sample, np.arange(300))(w) for w in (_once(300), weights)
    )
    assert (resampled**2).mean() == pytest.approx(float(whole[0] ** 2), rel=0.1)
    usual, raised = (expected_calibration_error(*sample, w) for w in (_once(300), weights))
    assert raised.mean() > usual[0] + 0.005


def test_a_bin_of_one_group_says_nothing() -> None:
    confidence, labels = np.array([0.6, 0.7, 0.8, 0.9]), np.array([1, 1, 1, 0])
    groups = np.array(["a", "a", "b", "c"])
    value = debiased_calibration_error_of(labels, _binary(confidence), groups, bins=2)(_once(4))
    assert value[0] == 0  # .8 and .9: -.8 x .1 is negative
    one = debiased_calibration_error_of(labels, _binary(confidence), np.zeros(4), bins=2)(_once(4))
    assert np.isnan(one[0])


def test_bins_of_equal_mass_hold_equally_many_and_ties_stay_together() -> None:
    generator = np.random.default_rng(4)
    labels = generator.integers(0, 2, 100)
    curve = equal_mass_reliability(labels, _binary(generator.uniform(0.5, 1, 100)))
    np.testing.assert_array_equal(curve.images, np.full(10, 10))
    assert (np.diff(curve.confidence) > 0).all()
    tied = equal_mass_reliability(labels, _binary(np.repeat([0.6, 0.9], [70, 30])), bins=4)
    np.testing.assert_array_equal(tied.images, [0, 70, 0, 30])
    np.testing.assert_allclose(
        tied.accuracy[[1, 3]], [1 - labels[:70].mean(), 1 - labels[70:].mean()]
    )
    assert np.isnan(tied.accuracy[0])


def _logits(scale: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(400, 4))
    labels = np.array([generator.choice(4, p=p) for p in softmax(logits, axis=1)])
    return labels, scale * logits


def test_temperature_is_the_least_log_loss_that_another_search_finds() -> None:
    labels, logits = _logits(3.0)

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits / temperature, axis=1)[range(400), labels].mean())

    other = minimize_scalar(loss, bounds=(0.1, 20), method="bounded", options={"xatol": 1e-9})
    fitted = fit_temperature(labels, logits)
    assert fitted.value == pytest.approx(other.x, rel=1e-5)
    assert fitted.value == pytest.approx(3, rel=0.2)
    assert not fitted.at_bound


def test_temperature_scales_with_the_logits_and_takes_log_probabilities() -> None:
    labels, logits = _logits(1.0)
    once, thrice = fit_temperature(labels, logits), fit_temperature(labels, 3 * logits)
    assert thrice.value == pytest.approx(3 * once.value, rel=1e-6)
    from_probabilities = fit_temperature(labels, np.log(softmax(logits, axis=1)))
    assert from_probabilities.value == pytest.approx(once.value, rel=1e-6)


def test_temperature_of_logits_that_are_all_right_or_all_wrong_is_at_its_bound() -> None:
    logits = np.eye(3)
    right, wrong = (
        fit_temperature(np.arange(3), logits),
        fit_temperature(np.array([1, 2, 0]), logits),
    )
    assert (right.value, wrong.value) == (0.01, 100)
    assert right.at_bound
    assert wrong.at_bound


def test_temperature_changes_no_decision() -> None:
    _, logits = _logits(1.0)
    softened = at_temperature(logits, 2.5)
    np.testing.assert_array_equal(softened.argmax(1), logits.argmax(1))
    np.testing.assert_allclose(softened, softmax(logits / 2.5, axis=1))
