"""The reusable holdout answers as its source says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curette.tasks.methods.statistics.holdout import HoldoutAnswer, Thresholdout


def _holdout(**changes: Any) -> Thresholdout:
    return replace(Thresholdout(threshold=0.04, noise=0.01, budget=3, seed=0), **changes)


def test_while_validation_and_test_agree_the_test_is_not_told() -> None:
    holdout = _holdout(noise=1e-6)
    for validation, test in [(0.8, 0.8), (0.8, 0.83), (0.7, 0.68)]:
        answer, holdout = holdout.answer(validation, test)
        assert answer == HoldoutAnswer(validation, "validation", 3)
    assert (holdout.asked, holdout.spent) == (3, 0)


def test_where_they_part_the_test_is_told_with_noise_until_the_budget_is_spent() -> None:
    holdout = _holdout(noise=1e-4)
    for remaining in (2, 1, 0):
        answer, holdout = holdout.answer(0.9, 0.7)
        assert (answer.source, answer.remaining) == ("test", remaining)
        assert answer.value != 0.7
        assert answer.value == pytest.approx(0.7, abs=0.002)
    refused, after = holdout.answer(0.8, 0.8)
    assert refused == HoldoutAnswer(None, "refused", 0)
    assert after == holdout


def test_equal_states_give_equal_answers_and_other_seeds_do_not() -> None:
    answers = {_holdout(seed=seed).answer(0.9, 0.6)[0].value for seed in (0, 0, 1)}
    assert len(answers) == 2
    holdout = _holdout()
    kept = Thresholdout(0.04, 0.01, 3, 0, asked=1, spent=1)
    assert holdout.answer(0.9, 0.5)[1] == kept
    assert holdout.answer(0.9, 0.5)[1].answer(0.9, 0.6) == kept.answer(0.9, 0.6)


def test_noise_has_the_scales_of_the_source() -> None:
    told = [
        Thresholdout(0.01, 0.005, 5000, 0, asked=i, spent=i).answer(1.0, 0.5)[0].value
        for i in range(1500)
    ]
    noise = np.array(told, dtype=float) - 0.5
    assert np.abs(noise).mean() == pytest.approx(0.005, rel=0.1)  # E|Lap(b)| = b
    # with gamma ~ Lap(2 s) and eta ~ Lap(4 s), t = 0: P(gamma + eta < x) of a difference x = 8 s
    charged = np.mean(
        [
            Thresholdout(1e-9, 0.01, 5000, 1, asked=i, spent=i).answer(0.58, 0.5)[0].source
            == "test"
            for i in range(1500)
        ]
    )
    generator = np.random.default_rng(0)
    sums = generator.laplace(scale=0.02, size=10**6) + generator.laplace(scale=0.04, size=10**6)
    assert charged == pytest.approx((sums < 0.08).mean(), abs=0.035)


def test_choosing_among_useless_features_fools_a_plain_holdout_and_not_this_one() -> None:
    """The source's experiment in small: labels are coins, features are chosen by the holdout."""
    generator = np.random.default_rng(0)
    n, features = 2000, 1000
    halves = [
        (generator.choice([-1.0, 1.0], (n, features)), generator.choice([-1.0, 1.0], n))
        for _ in range(2)
    ]
    (x, y), (x_test, y_test) = halves
    agrees = [((a * b[:, None]) > 0).mean(0) for a, b in halves]

    def accuracy_of(chosen: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
        sign = np.sign(agrees[0][chosen] - 0.5)
        return float((np.sign(a[:, chosen] @ sign + 1e-9) == b).mean())

    def choose(test_values: np.ndarray) -> np.ndarray:
        same = (agrees[0] - 0.5) * (test_values - 0.5) > 0
        size = np.minimum(np.abs(agrees[0] - 0.5), np.abs(test_values - 0.5))
        return np.argsort(-np.where(same, size, -1.0))[:300]

    naive = accuracy_of(choose(agrees[1]), x_test, y_test)
    holdout = _holdout(threshold=4 / n**0.5, noise=0.25 / n**0.5, budget=1000)
    answers = []
    for validation, test in zip(*agrees, strict=True):
        answer, holdout = holdout.answer(float(validation), float(test))
        answers.append(answer.value)
    chosen = choose(np.array(answers, dtype=float))
    kept, _ = holdout.answer(accuracy_of(chosen, x, y), accuracy_of(chosen, x_test, y_test))
    assert naive > 0.58  # of labels that nothing predicts
    assert kept.source == "test"
    assert kept.value == pytest.approx(0.5, abs=0.05)


def test_values_beyond_shares_and_empty_budgets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0 \.\. 1, not 1\.4.*Ask for accuracy or AUROC"):
        _holdout().answer(1.4, 0.5)
    with pytest.raises(ValueError, match=r"budget 0 protects nothing.*must be above 0"):
        _holdout(budget=0)
