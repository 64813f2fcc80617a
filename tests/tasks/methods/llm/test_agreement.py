from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from curette.tasks.methods.llm.agreement import cohen_kappa, fleiss_kappa

WORKED = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)
"""The worked example most often printed for Fleiss' kappa: 14 raters, 10 subjects, 5 categories."""


def test_the_worked_example_has_its_known_kappa() -> None:
    assert fleiss_kappa(WORKED) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_is_what_counting_pairs_of_votes_gives() -> None:
    generator = np.random.default_rng(1)
    votes = generator.integers(0, 3, size=(20, 5))
    agreeing = [a == b for row in votes for a, b in combinations(row, 2)]
    observed = np.mean(agreeing)
    expected = sum(np.mean(votes == c) ** 2 for c in range(3))
    counts = np.stack([(votes == c).sum(axis=1) for c in range(3)], axis=1)
    assert fleiss_kappa(counts) == pytest.approx((observed - expected) / (1 - expected))


def test_full_agreement_is_one_and_random_votes_are_about_zero() -> None:
    assert fleiss_kappa(np.array([[3, 0], [0, 3]])) == pytest.approx(1)
    yes = np.random.default_rng(0).binomial(5, 0.3, size=20_000)
    assert fleiss_kappa(np.stack([yes, 5 - yes], axis=1)) == pytest.approx(0, abs=0.02)


def test_two_votes_that_always_differ_are_worse_than_chance() -> None:
    assert fleiss_kappa(np.array([[1, 1], [1, 1]])) == pytest.approx(-1)


@pytest.mark.parametrize(
    "counts", [np.zeros((0, 2), dtype=int), np.array([[1, 0], [0, 1]]), np.array([[3, 0], [3, 0]])]
)
def test_kappa_is_undefined_without_subjects_pairs_or_variety(counts: np.ndarray) -> None:
    assert fleiss_kappa(counts) is None


def test_subjects_with_different_numbers_of_votes_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of votes; they have 2 to 3"):
        fleiss_kappa(np.array([[3, 0], [1, 1]]))


@pytest.mark.parametrize("seed", range(5))
def test_cohens_kappa_is_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 3, size=50)
    second = np.where(generator.random(50) < 0.6, first, generator.integers(0, 4, size=50))
    assert cohen_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))


def test_cohens_kappa_is_undefined_without_items_or_variety() -> None:
    assert cohen_kappa(np.zeros(0, dtype=int), np.zeros(0, dtype=int)) is None
    assert cohen_kappa(np.ones(4, dtype=int), np.ones(4, dtype=int)) is None
