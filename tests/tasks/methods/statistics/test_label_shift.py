"""The class mix of images without labels, and what a head may be expected to have right."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from curette.tasks.methods.statistics.label_shift import calibrate, class_mix, expect

MEANS = np.array([[1.2, 0, 0], [0, 1.2, 0], [0, 0, 1.2]])


def images(counts: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of Gaussian classes, three times too sure, and labels."""
    labels = np.repeat(np.arange(3), counts)
    points = MEANS[labels] + np.random.default_rng(seed).normal(size=(len(labels), 3))
    return 3 * (points @ MEANS.T) + [0.5, 0, -0.5], labels


def test_calibration_has_the_least_log_loss() -> None:
    logits, labels = images((60, 30, 20), 0)
    fitted = calibrate(logits, labels, np.ones(len(labels)))

    def loss(sharpness: float, bias: np.ndarray) -> float:
        log_p = log_softmax(sharpness * logits + bias, axis=1)
        return float(-log_p[np.arange(len(labels)), labels].mean())

    best = loss(fitted.sharpness, fitted.bias)
    generator = np.random.default_rng(0)
    for _ in range(50):
        step = 0.1 * generator.normal(size=4)
        assert best < loss(fitted.sharpness + step[0], fitted.bias + step[1:]) + 1e-3
    assert fitted.sharpness == pytest.approx(1 / 3, abs=0.12)
    doubled = calibrate(np.repeat(logits, 2, axis=0), np.repeat(labels, 2), np.ones(220))
    assert doubled.bias == pytest.approx(fitted.bias, abs=1e-3)


def test_the_mix_is_the_most_likely_one_and_near_the_truth() -> None:
    held, labels = images((400, 400, 400), 1)
    fitted = calibrate(held, labels, np.ones(len(labels)))
    new, _ = images((700, 200, 100), 2)
    log_p = fitted.log_probabilities(new)
    mix = class_mix(log_p, fitted.mix, np.ones(len(new)))
    assert mix.sum() == pytest.approx(1)
    assert mix == pytest.approx([0.7, 0.2, 0.1], abs=0.05)

    def likelihood(shares: np.ndarray) -> float:
        return float(np.log((np.exp(log_p) * shares / fitted.mix).sum(axis=1)).sum())

    grid = np.random.default_rng(0).dirichlet(mix * 200, size=200)
    assert max(map(likelihood, grid)) <= likelihood(mix) + 1e-6


def test_what_is_expected_follows_a_mix_that_changed_and_noise_that_grew() -> None:
    held, labels = images((300, 150, 150), 3)
    for counts, noise in (((100, 400, 100), 0.0), ((300, 150, 150), 6.0)):
        new, truth = images(counts, 4)
        new = new + noise * np.random.default_rng(5).normal(size=new.shape)
        ones = np.ones((1, len(labels))), np.ones((1, len(truth)))
        told = expect(held, labels, new, *ones)
        before = (held.argmax(axis=1) == labels).mean()
        now = (new.argmax(axis=1) == truth).mean()
        assert told.accuracy_before[0] == pytest.approx(before)
        if not noise:
            assert before + told.accuracy_change[0] == pytest.approx(now, abs=0.04)
        else:  # sure and wrong: this it cannot know
            assert told.accuracy_change[0] > now - before + 0.1


def test_without_bias_it_is_a_logistic_regression_on_logits() -> None:
    logits, labels = images((50, 50, 50), 6)
    fitted = calibrate(logits, labels, np.ones(len(labels)))
    free = LogisticRegression(C=1e6, max_iter=5000).fit(logits, labels)
    ours, theirs = softmax(fitted.log_probabilities(logits), axis=1), free.predict_proba(logits)
    loss = [-np.log(p[np.arange(len(labels)), labels]).mean() for p in (ours, theirs)]
    assert loss[1] <= loss[0] < loss[1] + 0.05, "it has fewer parameters, and loses little"
