"""Intervals cover what they say when groups are kept whole, and too little when they are not."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from curette.schemas.metrics import IntervalMethod
from curette.tasks.methods.statistics.bootstrap import (
    ClusterBootstrap,
    Interval,
    Statistic,
    doubted,
)
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of


def mean_of(values: np.ndarray) -> Statistic:
    """The weighted mean, as a statistic."""
    return lambda weights: (weights @ values / weights.sum(1))[:, None]


def _interval(
    values: np.ndarray,
    groups: np.ndarray,
    method: IntervalMethod = "percentile",
    resamples: int = 400,
    seed: int = 0,
) -> Interval:
    bootstrap = ClusterBootstrap.of(groups, resamples, seed)
    return bootstrap.replicate(mean_of(values), method).intervals(method, 0.95)[0]


def _coverage(method: IntervalMethod, grouping: Callable[[np.ndarray], np.ndarray]) -> float:
    """How often the interval holds a true accuracy of 0.8, groups of images being alike."""
    generator = np.random.default_rng(0)
    covered = 0
    for repeat in range(300):
        groups = np.repeat(np.arange(60), generator.integers(1, 8, 60))
        chance = generator.beta(0.8, 0.2, 60)[groups]
        right = (generator.random(len(groups)) < chance).astype(float)
        interval = _interval(right, grouping(groups), method, seed=repeat)
        covered += interval.low <= 0.8 <= interval.high
    return covered / 300


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_whole_groups_cover_what_they_say(method: IntervalMethod) -> None:
    assert 0.9 <= _coverage(method, lambda groups: groups) <= 0.99


def test_single_images_as_if_independent_cover_too_little() -> None:
    assert _coverage("percentile", lambda groups: np.arange(len(groups))) < 0.85


def test_a_resample_takes_whole_groups_and_as_many_as_there_are() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    seen: list[np.ndarray] = []

    def record(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return weights[:, :1]

    ClusterBootstrap.of(groups, 50, 0).replicate(record)
    whole, drawn, without = seen
    np.testing.assert_array_equal(whole, np.ones((1, 6)))
    assert drawn.shape == (50, 6)
    for name in "abc":
        assert (np.ptp(drawn[:, groups == name], axis=1) == 0).all()
    np.testing.assert_array_equal(drawn[:, [1, 0, 3]].sum(1), np.full(50, 3.0))
    np.testing.assert_array_equal(
        without, [[1, 0, 1, 1, 0, 1], [0, 1, 0, 1, 1, 0], [1, 1, 1, 0, 1, 1]]
    )


def test_percentile_and_bca_are_those_of_scipy() -> None:
    values = np.random.default_rng(3).exponential(size=80)
    methods: tuple[IntervalMethod, ...] = ("percentile", "bca")
    for method in methods:
        ours = _interval(values, np.arange(80), method, resamples=20_000)
        theirs = stats.bootstrap(
            [values], np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(1)
        ).confidence_interval
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_bca_lies_to_the_right_of_percentile_for_a_mean_skewed_to_the_right() -> None:
    values = np.random.default_rng(3).exponential(size=80)
    percentile = _interval(values, np.arange(80), "percentile", resamples=5000)
    bca = _interval(values, np.arange(80), "bca", resamples=5000)
    assert bca.low > percentile.low
    assert bca.high > percentile.high


def test_bca_without_an_answer_is_percentile_and_says_so() -> None:
    def distinct(weights: np.ndarray) -> np.ndarray:
        return (weights > 0).mean(1)[:, None]

    replicates = ClusterBootstrap.of(np.arange(40), 200, 0).replicate(distinct)
    (interval,) = replicates.intervals("bca", 0.95)
    assert interval == replicates.intervals("percentile", 0.95)[0]
    assert interval.method == "percentile"
    assert interval.high < interval.value == 1


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_a_statistic_that_never_moves_has_an_interval_of_no_width(method: IntervalMethod) -> None:
    interval = _interval(np.ones(20), np.arange(20), method)
    assert interval == Interval(1.0, 1.0, 1.0, method, 400, 20)


def test_resamples_without_a_value_are_left_out_and_not_counted() -> None:
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]])
    bootstrap = ClusterBootstrap.of(np.arange(4), 1000, 0)
    replicates = bootstrap.replicate(metrics_of(labels, probabilities))
    auroc = replicates.intervals("percentile", 0.95)[METRICS.index("macro_auroc")]
    lost = np.isnan(replicates.resampled[:, METRICS.index("macro_auroc")]).sum()
    assert auroc.value == pytest.approx(2 / 3)
    assert 0.25 < lost / 1000 < 0.4  # one image of four is missed with chance (3/4)^4 = 0.32
    assert auroc.resamples == 1000 - lost
    assert 0 <= auroc.low <= auroc.high <= 1


def test_a_statistic_without_any_value_has_no_bounds() -> None:
    def nothing(weights: np.ndarray) -> np.ndarray:
        return np.full((len(weights), 1), np.nan)

    replicates = ClusterBootstrap.of(np.arange(5), 50, 0).replicate(nothing)
    for interval in replicates.intervals("percentile", 0.95) + replicates.intervals("bca", 0.95):
        assert np.isnan([interval.value, interval.low, interval.high]).all()
        assert interval.resamples == 0


def test_a_head_differs_from_itself_by_nothing() -> None:
    values = np.random.default_rng(0).random(30)
    replicates = ClusterBootstrap.of(np.arange(30), 100, 0).replicate(mean_of(values))
    (interval,) = (replicates - replicates).intervals("percentile", 0.95)
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_paired_differences_are_narrower_than_the_heads_are_apart() -> None:
    generator = np.random.default_rng(0)
    hardness = generator.normal(size=200)
    first, second = hardness + 0.2, hardness + 0.1 * generator.normal(size=200)
    bootstrap = ClusterBootstrap.of(np.arange(200), 500, 0)
    a, b = (bootstrap.replicate(mean_of(values)) for values in (first, second))
    (difference,) = (a - b).intervals("percentile", 0.95)
    (alone,) = a.intervals("percentile", 0.95)
    assert difference.value == pytest.approx(float(np.mean(first - second)))
    assert 0 < difference.low < difference.value < difference.high
    assert difference.high - difference.low < (alone.high - alone.low) / 4


def test_differences_of_other_resamples_are_refused() -> None:
    values = np.arange(10.0)
    a, b = (ClusterBootstrap.of(np.arange(10), 50, s).replicate(mean_of(values)) for s in (0, 1))
    with pytest.raises(ValueError, match=r"not paired\. Replicate both with the same"):
        _ = a - b


def test_equal_seeds_give_equal_resamples_whatever_the_groups_are_called() -> None:
    values = np.random.default_rng(0).random(12)
    numbers = np.repeat(np.arange(4), 3)
    names = np.array(["p10", "p11", "p12", "p13"])[numbers]
    assert _interval(values, numbers) == _interval(values, names)
    assert _interval(values, numbers) != _interval(values, numbers, seed=1)


def test_one_group_says_that_it_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="all images carry the same subject id"):
        ClusterBootstrap.of(np.array(["p1", "p1"]), 100, 0)


@pytest.mark.parametrize("right", [0, 20])
def test_where_all_agree_the_bounds_are_those_of_clopper_and_pearson(right: int) -> None:
    share = right / 20
    told = doubted(
        Interval(share, share, share, "percentile", 1000, 20), groups=20, confidence=0.95
    )
    exact = stats.binomtest(right, 20).proportion_ci(0.95, method="exact")
    assert (told.low, told.high) == pytest.approx((exact.low, exact.high))
