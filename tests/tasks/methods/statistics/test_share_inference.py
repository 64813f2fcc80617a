"""Shares are drawn as promised, read where they are told, and not where they are not."""

import numpy as np
import pytest

from curette.tasks.methods.statistics.share_inference import (
    SHARES,
    TooFew,
    answers_by_cell,
    deal_parties,
    draw_shares,
    grade,
    guess_shares,
)


def test_draws_differ_in_the_property_alone_and_share_no_group() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(300), 3)
    labels, has = rng.integers(3, size=900), rng.random(900) < 0.4
    party = deal_parties(groups, rng)
    drawn = draw_shares(has, labels, "abc", party, 2, 10_000, rng)
    for own, of_party in enumerate(drawn):
        assert (party[of_party.rows] == own).all()
        mixes = {tuple(np.bincount(labels[rows])) for rows in of_party.rows}
        assert len(mixes) == 1
        np.testing.assert_allclose(has[of_party.rows].mean(1), of_party.shares)
        np.testing.assert_allclose(of_party.shares, np.repeat(SHARES, 2), atol=0.02)
        assert all(len(set(rows)) == len(rows) for rows in of_party.rows.tolist())
    assert not set(groups[drawn[0].rows].flat) & set(groups[drawn[1].rows].flat)
    assert not set(groups[party == 2]) & set(groups[party != 2])


def test_large_draws_are_cut_and_small_ones_refused() -> None:
    rng = np.random.default_rng(0)
    labels, has = np.arange(1000) % 2, np.arange(1000) // 2 % 2 == 0
    party = deal_parties(np.arange(1000), rng)
    assert draw_shares(has, labels, "ab", party, 1, 60, rng)[0].rows.shape[1] <= 60
    rare = has & ((labels == 0) | (np.arange(1000) < 10))
    with pytest.raises(TooFew, match="of the class b"):
        draw_shares(rare, labels, "ab", party, 1, 60, rng)


def test_a_share_that_features_follow_is_read_from_other_heads() -> None:
    rng = np.random.default_rng(1)
    shares = np.tile(SHARES, 16)
    told = rng.normal(size=(80, 30)) * 0.2
    told[:, :3] += shares[:, None]
    told[:, 9] = 4.0  # the same of all heads
    seen = grade(guess_shares(told[:40], shares[:40], told[40:]), shares[40:])
    assert seen.auroc > 0.95
    assert seen.accuracy > 0.9
    assert seen.error < 0.15
    blind = grade(
        guess_shares(rng.normal(size=(40, 30)), shares[:40], rng.normal(size=(40, 30))), shares[40:]
    )
    assert 0.2 < blind.auroc < 0.8


def test_who_guesses_the_middle_is_at_chance() -> None:
    guessed = grade(np.full(10, 0.5), np.tile(SHARES, 2))
    assert guessed.auroc == 0.5
    assert guessed.error == pytest.approx(0.18)
    assert grade(np.tile(SHARES, 2), np.tile(SHARES, 2)).accuracy == 1


def test_answers_are_means_of_each_class_with_and_without() -> None:
    said = np.array([[[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]]])
    told = answers_by_cell(said, np.array([True, True, False]), np.array([0, 0, 1]))
    np.testing.assert_allclose(told, [[0.3, 0.7, 0.9, 0.1]])
