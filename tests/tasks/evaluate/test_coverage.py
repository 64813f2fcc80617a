"""Bootstrap intervals hold the truth as often as they say, in studies drawn again and again."""

from functools import partial

import numpy as np
import pytest

from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.calibration import debiased_calibration_error_of
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of
from curette.tasks.methods.statistics.selective import area_under_risk_coverage_of

_NAMES = (*METRICS, "calibration", "aurc")


def _draw(groups: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of two to one group, alike within it; an overconfident head of three classes."""
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 1 + np.arange(groups) % 2)
    labels = generator.choice(3, groups, p=[0.5, 0.3, 0.2])[group]
    shared = generator.normal(size=(groups, 3))[group]
    logits = 1.3 * np.eye(3)[labels] + 0.8 * shared + 0.6 * generator.normal(size=shared.shape)
    probabilities = np.exp(2.5 * logits)
    return labels, probabilities / probabilities.sum(1, keepdims=True), group


def _values(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    calibration = debiased_calibration_error_of(labels, probabilities, group, bins=5)(weights)
    area = area_under_risk_coverage_of(labels, probabilities)(weights)[:, :1]
    return np.concatenate(
        [metrics_of(labels, probabilities)(weights), calibration[:, None], area], axis=1
    )


@pytest.fixture(scope="module")
def coverage() -> dict[str, float]:
    labels, probabilities, group = _draw(20_000, seed=10**6)
    (truth,) = _values(labels, probabilities, group, np.ones((1, len(labels))))
    covered = np.zeros(len(truth))
    for repeat in range(150):
        sample = _draw(120, repeat)
        bootstrap = ClusterBootstrap.of(sample[2], 200, repeat)
        replicates = bootstrap.replicate(partial(_values, *sample), "percentile")
        intervals = replicates.intervals("percentile", 0.95)
        covered += [i.low <= t <= i.high for i, t in zip(intervals, truth, strict=True)]
    return dict(zip(_NAMES, covered / 150, strict=True))


@pytest.mark.parametrize("name", [n for n in _NAMES if n != "expected_calibration_error"])
def test_intervals_hold_the_truth_as_often_as_they_say(
    coverage: dict[str, float], name: str
) -> None:
    assert 0.89 <= coverage[name] <= 0.99


def test_the_usual_calibration_error_does_not_which_is_why_there_is_another(
    coverage: dict[str, float],
) -> None:
    assert coverage["expected_calibration_error"] < coverage["calibration"]
