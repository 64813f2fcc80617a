"""What a judge's verdicts are worth, held against simulations that know the truth."""

import numpy as np
import pytest

from curette.tasks.methods.statistics.judged import rogan_gladen, weigh_verdicts


@pytest.mark.parametrize(
    ("positive", "pool", "right_positive", "right_negative"),
    [(14, 40, (9, 10), (8, 10)), (4, 30, (17, 20), (19, 20)), (28, 30, (9, 10), (7, 10))],
)
def test_it_is_what_keeping_the_worlds_that_gave_these_very_counts_gives(
    positive: int, pool: int, right_positive: tuple[int, int], right_negative: tuple[int, int]
) -> None:
    """Worlds are drawn from the priors, and those kept in which everything came out as it did.

    To keep enough of them, s and c are drawn as the test left them, which is what keeping those
    would leave; things and verdicts are drawn one kind at a time.
    """
    rng = np.random.default_rng(1)
    worlds = 500_000
    s, c = (
        rng.beta(0.5 + right, 0.5 + of - right, worlds)
        for right, of in (right_positive, right_negative)
    )
    share = rng.random(worlds)
    things = rng.binomial(pool, share)
    hit = rng.binomial(things, s)
    false = rng.binomial(pool - things, 1 - c)
    kept = hit + false == positive
    assert kept.sum() > 5_000
    told = weigh_verdicts(positive, pool, right_positive, right_negative)
    assert told is not None
    assert (told.share.low, told.share.high) == pytest.approx(
        tuple(np.percentile(share[kept], (2.5, 97.5))), abs=0.02
    )
    assert told.share.mean == pytest.approx(share[kept].mean(), abs=0.01)
    if positive:
        assert told.if_positive.mean == pytest.approx((hit[kept] / positive).mean(), abs=0.01)
    missed = things[kept] - hit[kept]
    assert told.if_negative.mean == pytest.approx((missed / (pool - positive)).mean(), abs=0.01)


def test_intervals_hold_the_true_share_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    held = []
    for _ in range(200):
        s, c, share = *rng.beta(0.5, 0.5, 2), rng.random()
        things = rng.binomial(60, share)
        positive = rng.binomial(things, s) + rng.binomial(60 - things, 1 - c)
        test = (rng.binomial(10, s), 10), (rng.binomial(10, c), 10)
        if (told := weigh_verdicts(positive, 60, *test, draws=1000)) is not None:
            held.append(told.share.low <= share <= told.share.high)
    assert len(held) > 150
    assert 0.90 <= np.mean(held) <= 0.99


def test_a_judge_without_faults_in_a_long_test_is_believed_to_the_letter() -> None:
    told = weigh_verdicts(300, 1000, (10_000, 10_000), (10_000, 10_000))
    assert told is not None
    assert told.share.mean == pytest.approx(0.3, abs=0.005)
    assert told.if_positive.low > 0.99
    assert told.if_negative.high < 0.01


def test_a_judge_that_guesses_leaves_each_thing_as_likely_as_any_other() -> None:
    told = weigh_verdicts(500, 1000, (5_000, 10_000), (5_000, 10_000))
    assert told is not None
    assert told.if_positive.mean == pytest.approx(told.if_negative.mean, abs=0.03)
    assert told.share.high - told.share.low > 0.8


def test_verdicts_that_the_test_does_not_allow_are_not_explained() -> None:
    assert weigh_verdicts(0, 5000, (500, 1000), (500, 1000)) is None


def test_the_corrected_share_of_rogan_and_gladen() -> None:
    assert rogan_gladen(0.5 * 0.9 + 0.5 * 0.2, 0.9, 0.8) == pytest.approx(0.5)
    assert rogan_gladen(0.05, 0.9, 0.8) == 0.0
    assert rogan_gladen(0.5, 0.4, 0.6) is None
