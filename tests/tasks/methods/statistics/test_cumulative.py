"""Sums for many weightings at once are those of plain loops."""

import numpy as np
import pytest

from curette.tasks.methods.statistics.cumulative import sums_from_0, sums_in_cells


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 33, 100])
def test_running_sums_are_exact_whatever_the_number_of_rows(rows: int) -> None:
    columns = np.random.default_rng(rows).integers(0, 9, (rows, 5)).astype(np.float64)
    sums = sums_from_0(columns)
    assert sums.shape == (rows + 1, 5)
    for i in range(rows + 1):
        np.testing.assert_array_equal(sums[i], columns[:i].sum(0))


def test_each_cell_sums_its_own_images() -> None:
    rng = np.random.default_rng(0)
    cell, of, columns = rng.integers(4, size=20), rng.normal(size=20), rng.random((20, 3))
    found = sums_in_cells(cell, 6, columns, of)
    for c in range(6):
        here = cell == c
        np.testing.assert_allclose(found[c], (of[here, None] * columns[here]).sum(0))
    np.testing.assert_allclose(sums_in_cells(cell, 6, columns).sum(0), columns.sum(0))
