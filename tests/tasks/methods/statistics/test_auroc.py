"""DeLong's variance against all pairs, against the bootstrap, and in simulation."""

from statistics import NormalDist

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from curette.tasks.methods.statistics.auroc import DeLong, delong_macro
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Statistic
from curette.tasks.methods.statistics.metrics import macro_auroc


def _two_heads(images: int, first: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores of a better and a worse head that share their noise, with ties."""
    generator = np.random.default_rng(0)
    positive = generator.random(images) < 0.4
    shared = generator.normal(size=images)
    scores = np.stack(
        [first * positive + shared, 0.8 * positive + shared + 0.7 * generator.normal(size=images)]
    )
    return positive, scores.round(1)


def _binary(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> DeLong:
    """Return the AUROC of one class against the rest, which of two classes is that of the other."""
    return delong_macro(positive.astype(int), np.stack([-scores, scores], axis=2), groups)


def _by_all_pairs(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and covariance as DeLong et al. define them, from the matrix of all pairs."""
    placed = []
    for row in scores:
        wins = row[positive][:, None] - row[~positive]
        placed.append((wins > 0) + 0.5 * (wins == 0))
    of_positive = np.cov(np.stack([w.mean(1) for w in placed])) / positive.sum()
    of_negative = np.cov(np.stack([w.mean(0) for w in placed])) / (~positive).sum()
    return np.array([w.mean() for w in placed]), of_positive + of_negative


def test_areas_and_covariance_are_those_of_all_pairs() -> None:
    positive, scores = _two_heads(80)
    value, covariance = _by_all_pairs(scores, positive)
    found = _binary(scores, positive, np.arange(80))
    np.testing.assert_allclose(found.value, value)
    np.testing.assert_allclose(found.value, [roc_auc_score(positive, row) for row in scores])
    np.testing.assert_allclose(found.covariance, covariance)


def test_paired_test_agrees_with_the_paired_bootstrap() -> None:
    positive, scores = _two_heads(300, first=1.0)
    bootstrap = ClusterBootstrap.of(np.arange(300), 4000, 0)

    def area_of(row: np.ndarray) -> Statistic:
        probability = 1 / (1 + np.exp(-row))
        both = np.stack([1 - probability, probability], axis=1)
        return lambda weights: macro_auroc(positive.astype(int), both, weights)[:, None]

    heads = [bootstrap.replicate(area_of(row)) for row in scores]
    (interval,) = (heads[0] - heads[1]).intervals("percentile", 0.95)
    test = _binary(scores, positive, np.arange(300)).compare(0, 1, 0.95)
    assert test.difference == pytest.approx(interval.value)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), abs=0.006)
    z = test.difference / test.standard_error
    assert test.p_value == pytest.approx(2 * (1 - NormalDist().cdf(z)))
    assert 0 < test.p_value < 0.05


def test_of_many_classes_it_is_the_mean_with_its_bootstrap_error() -> None:
    generator = np.random.default_rng(0)
    labels = generator.choice(4, 400, p=[0.4, 0.3, 0.2, 0.1])
    many = np.exp(generator.normal(size=(400, 4)) + 1.2 * np.eye(4)[labels])
    many /= many.sum(1, keepdims=True)
    found = delong_macro(labels, many[None], np.arange(400))
    assert found.value[0] == pytest.approx(macro_auroc(labels, many, np.ones((1, 400)))[0])
    weights = generator.multinomial(400, np.full(400, 1 / 400), 2000).astype(float)
    error = macro_auroc(labels, many, weights).std()
    assert found.covariance[0, 0] ** 0.5 == pytest.approx(error, rel=0.07)


def test_copies_of_an_image_are_no_evidence_if_they_share_a_group() -> None:
    positive, scores = _two_heads(200)
    single = _binary(scores, positive, np.arange(200))
    twice = np.repeat(scores, 2, axis=1), np.repeat(positive, 2)
    grouped = _binary(*twice, np.repeat(np.arange(200), 2))
    apart = _binary(*twice, np.arange(400))
    np.testing.assert_allclose(grouped.value, single.value)
    np.testing.assert_allclose(grouped.covariance, single.covariance, rtol=0.02)
    np.testing.assert_allclose(apart.covariance, single.covariance / 2, rtol=0.02)


def test_intervals_cover_and_the_test_rejects_as_often_as_they_say() -> None:
    truth = NormalDist().cdf(1.2 / 2**0.5)
    generator = np.random.default_rng(0)
    covered = rejected = 0
    for _ in range(400):
        positive = np.arange(120) < 40
        scores = 1.2 * positive + generator.normal(size=(2, 120))  # two equally good heads
        found = _binary(scores, positive, np.arange(120))
        low, high = found.interval(0, 0.95)
        covered += low <= truth <= high
        rejected += found.compare(0, 1, 0.95).p_value < 0.05
    assert 0.925 <= covered / 400 <= 0.975
    assert 0.025 <= rejected / 400 <= 0.08


def test_a_head_without_errors_has_no_interval_and_no_test_against_itself() -> None:
    positive = np.arange(10) < 5
    perfect = _binary(np.stack([positive * 1.0] * 2), positive, np.arange(10))
    assert perfect.value[0] == 1
    assert np.isnan(perfect.interval(0, 0.95)).all()
    assert np.isnan(perfect.compare(0, 1, 0.95).p_value)


def test_logit_interval_worked_by_hand() -> None:
    low, high = DeLong(np.array([0.8]), np.array([[0.0016]])).interval(0, 0.95)
    # logit .8 = 1.3863, its error .04 / .16 = .25; 1.3863 -+ 1.96 x .25 = .8963 and 1.8763
    assert (low, high) == pytest.approx((0.7102, 0.8672), abs=1e-4)


def test_one_image_of_a_class_says_what_to_use_instead() -> None:
    with pytest.raises(ValueError, match=r"positive and . negative.*Use the bootstrap"):
        _binary(np.zeros((1, 4)), np.arange(4) < 1, np.arange(4))
