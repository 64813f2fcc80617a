"""Pairs of concepts against a plain count of their 2x2 tables."""

import itertools

import numpy as np
import pytest

from curette.tasks.screen.gates.co_occurrence import indistinct_pairs


@pytest.mark.parametrize("seed", range(5))
def test_equals_counting_every_table(seed: int) -> None:
    generator = np.random.default_rng(seed)
    base = generator.random((60, 4)) < 0.5
    present = np.hstack([base, base ^ (generator.random(base.shape) < 0.02), ~base[:, :2]])
    expected: dict[tuple[int, int], object] = {}
    for i, j in itertools.combinations(range(present.shape[1]), 2):
        a, b = present[:, i], present[:, j]
        cells = {
            "both": (a & b).sum(),
            "only the first": (a & ~b).sum(),
            "only the second": (~a & b).sum(),
            "neither": (~a & ~b).sum(),
        }
        jaccard = cells["both"] / max((a | b).sum(), 1)
        empty = tuple(
            name
            for (name, count), x, y in zip(
                cells.items(), (a, a, ~a, ~a), (b, ~b, b, ~b), strict=True
            )
            if count == 0 and x.sum() * y.sum() / 60 >= 5
        )
        if jaccard > 0.9 or empty:
            expected[i, j] = (pytest.approx(jaccard), empty)
    found: dict[tuple[int, int], object] = {
        (p.first, p.second): (p.jaccard, p.empty) for p in indistinct_pairs(present, 0.9)
    }
    assert found == expected
    assert found


def test_an_empty_cell_of_two_rare_concepts_says_nothing() -> None:
    present = np.zeros((100, 2), dtype=bool)
    present[:5, 0] = present[5:10, 1] = True
    assert indistinct_pairs(present, 0.95) == []
