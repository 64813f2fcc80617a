"""Confounded images reach the correlation that was declared, and its reverse."""

import numpy as np
import pytest
from scipy.stats.contingency import association
from sklearn.metrics import matthews_corrcoef

from curette.tasks.methods.confounding import (
    cramers_v,
    draw_confounded,
    label_table,
    lacking_cells,
    pair_by_majority,
    reverse_pairing,
    weigh_confounded,
)


def _none(classes: int) -> np.ndarray:
    return np.zeros(classes, dtype=bool)


def _dataset(images: int, classes: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Unbalanced labels and attributes that already go together a little."""
    generator = np.random.default_rng(0)
    shares = 0.7 ** np.arange(classes)
    labels = generator.choice(classes, images, p=shares / shares.sum())
    drawn = generator.integers(0, levels, images)
    return labels, np.where(generator.random(images) < 0.15, labels % levels, drawn)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8, 1.0])
def test_two_by_two_reaches_the_declared_phi_and_its_reverse(correlation: float) -> None:
    labels, levels = _dataset(4000, 2, 2)
    pairing = np.array([0, 1])
    for pairs, sign in ((pairing, 1), (reverse_pairing(pairing), -1)):
        drawn = draw_confounded(labels, levels, pairs, correlation, seed=0, aside=_none(2))
        phi = matthews_corrcoef(labels[drawn], levels[drawn])
        assert phi == pytest.approx(sign * correlation, abs=0.01)
        weights = weigh_confounded(labels, levels, pairs, correlation)
        weighted = matthews_corrcoef(labels, levels, sample_weight=weights)
        assert weighted == pytest.approx(sign * correlation)


@pytest.mark.parametrize(("classes", "levels"), [(7, 2), (3, 3), (7, 4)])
def test_more_classes_and_levels_reach_the_declared_association(classes: int, levels: int) -> None:
    labels, attribute = _dataset(8000, classes, levels)
    pairing = np.arange(classes) % levels
    drawn = draw_confounded(labels, attribute, pairing, 0.6, seed=0, aside=_none(classes))
    table = label_table(labels[drawn], attribute[drawn], classes, levels)
    assert association(table.astype(int), method="cramer") == pytest.approx(0.6, abs=0.02)
    paired = attribute == pairing[labels]
    assert paired[drawn].mean() > 0.65
    weights = weigh_confounded(labels, attribute, reverse_pairing(pairing), 0.6)
    reversed_table = label_table(labels, attribute, classes, levels, weights)
    assert cramers_v(reversed_table) == pytest.approx(0.6)
    assert np.average(paired, weights=weights) < 0.4


def test_classes_keep_their_share() -> None:
    labels, levels = _dataset(6000, 3, 2)
    whole = np.bincount(labels) / len(labels)
    drawn = labels[
        draw_confounded(labels, levels, np.array([0, 1, 1]), 0.7, seed=0, aside=_none(3))
    ]
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), whole, atol=0.005)
    weights = weigh_confounded(labels, levels, np.array([0, 1, 1]), 0.7)
    np.testing.assert_allclose(np.bincount(labels, weights) / weights.sum(), whole)


def test_as_many_are_drawn_as_the_scarcest_class_and_level_allows() -> None:
    labels, levels = _dataset(2000, 2, 2)
    drawn = draw_confounded(labels, levels, np.array([0, 1]), 0.8, seed=0, aside=_none(2))
    had = label_table(labels, levels, 2, 2)
    kept = label_table(labels[drawn], levels[drawn], 2, 2)
    assert (kept <= had).all()
    assert (kept == had).sum() == 1


def test_equal_seeds_draw_equal_images_and_others_do_not() -> None:
    sample = _dataset(1000, 2, 2)
    drawn = [draw_confounded(*sample, np.array([0, 1]), 0.8, s, _none(2)) for s in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_images_of_an_unknown_level_are_neither_drawn_nor_weighed() -> None:
    labels, levels = _dataset(2000, 2, 2)
    levels[:100] = -1
    assert not draw_confounded(labels, levels, np.array([1, 0]), 0.8, seed=0, aside=_none(2))[
        :100
    ].any()
    weights = weigh_confounded(labels, levels, np.array([1, 0]), 0.8)
    assert (weights[:100] == 0).all()
    assert (weights[100:] > 0).all()


def test_what_is_needed_and_lacking_is_named() -> None:
    labels, levels = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    np.testing.assert_array_equal(lacking_cells(labels, levels, np.array([0, 1]), 0.5), [[1, 0]])
    assert not len(lacking_cells(labels, levels, np.array([0, 1]), 1.0))


def test_a_class_and_level_without_images_stay_empty() -> None:
    labels, levels = _dataset(4000, 3, 2)
    lost = (labels == 2) & (levels == 0)
    pairing = np.array([0, 1, 1])
    drawn = draw_confounded(labels, np.where(lost, -1, levels), pairing, 0.8, 0, _none(3))
    assert not drawn[lost].any()
    table = label_table(labels[drawn], levels[drawn], 3, 2)
    assert (table > 0).sum() == 5
    whole = draw_confounded(labels, levels, pairing, 0.8, 0, _none(3))
    assert drawn.sum() > 0.9 * whole.sum()
    assert not draw_confounded(labels, np.full(4000, -1), pairing, 0.8, 0, _none(3)).any()


def test_a_class_that_takes_no_part_keeps_its_share_and_changes_nothing_else() -> None:
    labels, levels = _dataset(6000, 3, 2)
    levels = np.where(labels == 2, 1, levels)
    pairing, aside = np.array([0, 1, 1]), np.array([False, False, True])
    drawn = draw_confounded(labels, levels, pairing, 0.7, 0, aside)
    shares = np.bincount(labels[drawn]) / drawn.sum()
    np.testing.assert_allclose(shares, np.bincount(labels) / len(labels), atol=0.005)
    two = drawn & (labels < 2)
    table = label_table(labels[two], levels[two], 2, 2)
    assert cramers_v(table) == pytest.approx(0.7, abs=0.01)


def test_what_a_class_lacks_is_not_made_up_by_another() -> None:
    labels, levels = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    weights = weigh_confounded(labels, levels, np.array([0, 1]), 0.5)
    np.testing.assert_allclose(weights, [1.5, 0.5, 0.75, 0.75])  # 0.375, 0.125, 0.375 of all


def test_each_class_is_paired_with_what_it_has_more_often_than_others() -> None:
    table = np.array([[60.0, 40, 0], [30, 60, 10], [50, 50, 0]])
    np.testing.assert_array_equal(pair_by_majority(table), [0, 1, 0])
    np.testing.assert_array_equal(reverse_pairing(np.array([0, 2, 0, 3])), [2, 3, 2, 0])


def test_cramers_v_is_scipys() -> None:
    table = np.array([[20.0, 5, 3], [4, 12, 9]])
    expected = association(table.astype(int), method="cramer")
    assert cramers_v(table) == pytest.approx(expected)
    assert cramers_v(np.pad(table, 1)) == pytest.approx(expected)
    assert np.isnan(cramers_v(np.array([[3.0, 4], [0, 0]])))
