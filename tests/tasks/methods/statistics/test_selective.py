"""Risk and coverage, against every order that ties leave open and against repeated images."""

from itertools import permutations

import numpy as np
import pytest

from curette.tasks.methods.statistics.metrics import accuracy, confusion_matrices
from curette.tasks.methods.statistics.selective import (
    area_under_risk_coverage_of,
    risk_coverage_curve,
)


def _binary(confidence: np.ndarray) -> np.ndarray:
    return np.stack([confidence, 1 - confidence], axis=1)


def _draw(images: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 2, images), _binary(generator.choice([0.6, 0.7, 0.9], images))


def _over_all_orders(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Risk at coverages 1/n .. 1, averaged over all orders of ties."""
    wrong = (probabilities.argmax(1) != labels).astype(float)
    risks = []
    for order in map(np.array, permutations(range(len(labels)))):
        ranked = order[np.argsort(-probabilities.max(1)[order], kind="stable")]
        risks.append(np.cumsum(wrong[ranked]) / np.arange(1, len(labels) + 1))
    return np.mean(risks, axis=0)


def test_ties_count_with_the_expectation_over_their_orders() -> None:
    labels, probabilities = _draw(7)
    expected = _over_all_orders(labels, probabilities)
    once = np.ones((1, 7))
    area, _ = area_under_risk_coverage_of(labels, probabilities)(once)[0]
    assert area == pytest.approx(expected.mean())


def test_a_weighting_is_that_of_the_repeated_images() -> None:
    labels, probabilities = _draw(40)
    weights = np.random.default_rng(1).poisson(1.0, (10, 40)).astype(float)
    areas = area_under_risk_coverage_of(labels, probabilities)(weights)
    for row, area in zip(weights.astype(int), areas, strict=True):
        kept = np.repeat(np.arange(40), row)
        sample = labels[kept], probabilities[kept], np.ones((1, len(kept)))
        np.testing.assert_allclose(area_under_risk_coverage_of(*sample[:2])(sample[2])[0], area)


def test_without_ties_it_is_the_mean_of_the_running_risk() -> None:
    generator = np.random.default_rng(2)
    probabilities = _binary(generator.uniform(0.5, 1, 50))
    labels = generator.integers(0, 2, 50)
    wrong = (labels == 1)[np.argsort(-probabilities[:, 0])]
    area, excess = area_under_risk_coverage_of(labels, probabilities)(np.ones((1, 50)))[0]
    steps = np.arange(1, 51)
    assert area == pytest.approx((np.cumsum(wrong) / steps).mean())
    assert excess == pytest.approx(area - (np.cumsum(np.sort(wrong)) / steps).mean())


def test_a_head_that_doubts_exactly_its_errors_has_no_excess() -> None:
    labels, probabilities = np.array([0, 0, 0, 1]), _binary(np.array([0.9, 0.8, 0.7, 0.6]))
    area, excess = area_under_risk_coverage_of(labels, probabilities)(np.ones((1, 4)))[0]
    assert (area, excess) == pytest.approx((1 / 16, 0))
    area, excess = area_under_risk_coverage_of(1 - labels, probabilities)(np.ones((1, 4)))[0]
    # wrong thrice, then right: (1 + 1 + 1 + 3/4) / 4; at best 0, 1/2, 2/3, 3/4
    assert (area, excess) == pytest.approx((3.75 / 4, 3.75 / 4 - (1 / 2 + 2 / 3 + 3 / 4) / 4))


def test_the_risk_of_answering_everything_is_the_share_of_errors() -> None:
    labels, probabilities = _draw(40)
    (share,) = accuracy(confusion_matrices(labels, probabilities, np.ones((1, 40))))
    curve = risk_coverage_curve(labels, probabilities)
    assert (curve.coverage[-1], curve.risk[-1]) == pytest.approx((1, 1 - share))


def test_the_curve_has_one_point_a_confidence() -> None:
    labels = np.array([0, 1, 0, 1, 0])
    curve = risk_coverage_curve(labels, _binary(np.array([0.9, 0.9, 0.7, 0.6, 0.6])))
    np.testing.assert_array_equal(curve.threshold, [0.9, 0.7, 0.6])
    np.testing.assert_allclose(curve.coverage, [0.4, 0.6, 1])
    np.testing.assert_allclose(curve.risk, [1 / 2, 1 / 3, 2 / 5])


def test_no_image_has_no_risk() -> None:
    labels, probabilities = _draw(5)
    nothing = np.zeros((1, 5))
    assert np.isnan(area_under_risk_coverage_of(labels, probabilities)(nothing)).all()


def test_shares_instead_of_counts_say_how_to_fix_it() -> None:
    labels, probabilities = _draw(5)
    with pytest.raises(ValueError, match=r"were normalised\. Pass how often each image was drawn"):
        area_under_risk_coverage_of(labels, probabilities)(np.full((1, 5), 0.2))
