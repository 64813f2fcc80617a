"""How often the weighted gap's intervals hold the truth: less often at the fewest groups."""

from functools import partial

import numpy as np
import pytest

from curette.tasks.methods.confounding import reverse_pairing, weigh_confounded
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import METRICS, balanced_accuracies
from curette.tasks.methods.statistics.shift import shift_metrics_of

_PAIRING = np.array([0, 1])


def _draw(
    thin: int, times: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two classes with 60 groups of their own value and few of the other, which weigh most.

    Groups have one or two images, alike within them, and the head reads the value a little.
    """
    generator = np.random.default_rng(seed)
    cells = np.repeat([[0, 0], [0, 1], [1, 1], [1, 0]], np.array([60, thin] * 2) * times, axis=0)
    group = np.repeat(np.arange(len(cells)), 1 + np.arange(len(cells)) % 2)
    labels, levels = cells[group].T
    noise = generator.normal(size=len(cells))[group] + generator.normal(size=len(group))
    logit = 2.0 * (2 * labels - 1) + 0.4 * (2 * levels - 1) + 1.4 * noise
    positive = 1 / (1 + np.exp(-logit))
    return labels, levels, np.column_stack([1 - positive, positive]), group


def _out_and_gap(
    labels: np.ndarray, levels: np.ndarray, probabilities: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    inside, outside = (
        weigh_confounded(labels, levels, pairing, 0.9)
        for pairing in (_PAIRING, reverse_pairing(_PAIRING))
    )
    right = probabilities.argmax(1)[None] == labels
    here, there = (balanced_accuracies(right, labels, drawn * w) for w in (inside, outside))
    return np.hstack([there, here - there])


def test_what_is_resampled_here_is_what_is_told() -> None:
    labels, levels, probabilities, group = _draw(5, 1, seed=0)
    drawn = np.random.default_rng(0).integers(1, 4, size=(3, len(np.unique(group))))[:, group]
    inside, outside = (
        weigh_confounded(labels, levels, pairing, 0.9)
        for pairing in (_PAIRING, reverse_pairing(_PAIRING))
    )
    values = shift_metrics_of(labels, probabilities, inside, outside)(drawn * 1.0)
    expected = values[:, 1:3, METRICS.index("balanced_accuracy")]
    found = _out_and_gap(labels, levels, probabilities, drawn * 1.0)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("thin", "lowest"), [(5, 0.82), (10, 0.89)])
def test_intervals_of_the_weighted_gap_hold_the_truth(thin: int, lowest: float) -> None:
    """Five groups, as few as are measured, undercover, which is why the report says so."""
    labels, levels, probabilities, _ = _draw(thin, 100, seed=10**6)
    (truth,) = _out_and_gap(labels, levels, probabilities, np.ones((1, len(labels))))
    covered = np.zeros(2)
    for repeat in range(120):
        *sample, group = _draw(thin, 1, repeat)
        bootstrap = ClusterBootstrap.of(group, 150, repeat)
        made = bootstrap.replicate(partial(_out_and_gap, *sample), "percentile")
        intervals = made.intervals("percentile", 0.95)
        covered += [i.low <= t <= i.high for i, t in zip(intervals, truth, strict=True)]
    assert (covered / 120 >= lowest).all()
    assert (covered / 120 <= 0.99).all()
