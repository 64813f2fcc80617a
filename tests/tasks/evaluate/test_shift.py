"""Confounded splits reach what was declared, reverse it, and keep groups whole."""

import numpy as np
import pytest
from scipy.stats.contingency import association
from sklearn.metrics import accuracy_score, balanced_accuracy_score, matthews_corrcoef

from tasks.evaluate.metrics import METRICS
from tasks.evaluate.shift import (
    LEFT_OUT,
    PARTS,
    ShiftSplit,
    build_confounded_split,
    cramers_v,
    shift_metrics,
    split_by_domain,
    worst_group_accuracy,
)

SHARES = (0.5, 0.1, 0.2, 0.2)


def _dataset(
    images: int, classes: int, levels: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unbalanced labels and attributes that already go together a little; groups are single."""
    generator = np.random.default_rng(seed)
    shares = 0.7 ** np.arange(classes)
    labels = generator.choice(classes, images, p=shares / shares.sum())
    drawn = generator.integers(0, levels, images)
    attribute = np.where(generator.random(images) < 0.15, labels % levels, drawn)
    return labels, attribute, np.arange(images)


def _table(labels: np.ndarray, levels: np.ndarray) -> np.ndarray:
    table = np.zeros((labels.max() + 1, levels.max() + 1), dtype=int)
    np.add.at(table, (labels, levels), 1)
    return table


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8, 1.0])
def test_two_by_two_reaches_the_declared_phi_and_its_reverse(correlation: float) -> None:
    labels, levels, groups = _dataset(4000, 2, 2)
    split = build_confounded_split(labels, levels, groups, correlation, SHARES, seed=0)
    for number, reached in enumerate(split.correlations):
        here = split.part == number
        sign = -1 if reached.part == "out_of_domain_test" else 1
        assert reached.phi == pytest.approx(sign * correlation, abs=0.01)
        assert reached.phi == pytest.approx(matthews_corrcoef(labels[here], levels[here]))
        assert reached.images == here.sum() > 100
        assert reached.paired_share == pytest.approx(np.mean(labels[here] == levels[here]))


@pytest.mark.parametrize(("classes", "levels"), [(7, 2), (3, 3), (7, 4), (2, 4)])
def test_more_classes_and_levels_reach_the_declared_association(classes: int, levels: int) -> None:
    labels, attribute, groups = _dataset(8000, classes, levels)
    split = build_confounded_split(labels, attribute, groups, 0.6, SHARES, seed=0)
    for number, reached in enumerate(split.correlations):
        here = split.part == number
        table = _table(labels[here], attribute[here])
        table = table[:, table.sum(0) > 0]
        assert reached.cramers_v == pytest.approx(association(table, method="cramer"))
        assert reached.cramers_v == pytest.approx(0.6, abs=0.03)
    paired = [r.paired_share for r in split.correlations]
    assert min(paired[:3]) > 0.6
    assert paired[3] < 0.45


def test_classes_keep_their_share_in_every_part() -> None:
    labels, levels, groups = _dataset(6000, 3, 2)
    split = build_confounded_split(labels, levels, groups, 0.7, SHARES, seed=0)
    whole = np.bincount(labels) / len(labels)
    for number in range(len(PARTS)):
        here = labels[split.part == number]
        np.testing.assert_allclose(np.bincount(here) / len(here), whole, atol=0.01)
    sizes = np.array([r.images for r in split.correlations])
    np.testing.assert_allclose(sizes / sizes.sum(), SHARES, atol=0.01)


def test_nothing_is_placed_twice_and_what_is_left_out_is_counted() -> None:
    labels, levels, groups = _dataset(2000, 3, 2)
    split = build_confounded_split(labels, levels, groups, 0.7, SHARES, seed=0)
    assert set(split.part) == {LEFT_OUT, 0, 1, 2, 3}
    lost = split.part == LEFT_OUT
    np.testing.assert_array_equal(split.left_out, _table(labels[lost], levels[lost]))
    assert sum(r.images for r in split.correlations) + split.left_out.sum() == 2000


def test_groups_stay_whole_even_if_they_mix_classes() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(900), generator.integers(1, 5, 900))
    levels = generator.integers(0, 2, 900)[groups]
    labels = np.where(generator.random(len(groups)) < 0.2, 0, generator.integers(0, 2, 900)[groups])
    split = build_confounded_split(labels, levels, groups, 0.8, SHARES, seed=0)
    for group in range(900):
        assert len(set(split.part[groups == group])) == 1
    phi = [r.phi for r in split.correlations]
    np.testing.assert_allclose(phi, [0.8, 0.8, 0.8, -0.8], atol=0.05)


def test_equal_seeds_give_equal_splits_and_others_do_not() -> None:
    sample = _dataset(1000, 2, 2)
    splits = [build_confounded_split(*sample, 0.8, SHARES, seed=s).part for s in (0, 0, 1)]
    np.testing.assert_array_equal(splits[0], splits[1])
    assert (splits[0] != splits[2]).any()


def test_a_group_with_a_missing_attribute_is_left_out_and_pairs_can_be_declared() -> None:
    labels, levels, groups = _dataset(2000, 2, 2)
    levels[:100] = -1
    groups = np.where(groups < 110, groups % 10, groups)  # the missing ones share groups with ten
    split = build_confounded_split(labels, levels, groups, 0.8, SHARES, seed=0, pairing=[1, 0])
    assert (split.part[:110] == LEFT_OUT).all()
    assert split.correlations[0].phi == pytest.approx(0.8, abs=0.02)  # signed by the pairs
    assert split.correlations[0].paired_share > 0.8
    assert split.left_out.sum() == (split.part[100:] == LEFT_OUT).sum()


def test_a_class_that_lacks_a_level_is_named() -> None:
    labels, levels = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    with pytest.raises(ValueError, match=r"class 1 has no image of level 0.*Merge levels"):
        build_confounded_split(labels, levels, np.arange(4), 0.5, SHARES, seed=0)


def test_a_constant_attribute_and_an_impossible_correlation_are_refused() -> None:
    labels, _, groups = _dataset(50, 2, 2)
    with pytest.raises(ValueError, match=r"the attribute is constant.*another column"):
        build_confounded_split(labels, np.zeros(50, dtype=int), groups, 0.5, SHARES, seed=0)
    with pytest.raises(ValueError, match=r"correlation of 1\.2.*must be in 0 \.\. 1"):
        build_confounded_split(labels, labels, groups, 1.2, SHARES, seed=0)


def test_a_domain_split_trains_here_and_tests_there() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    site = np.array([0, 0, 0, 0, 1, 1, 2, -1])
    split = np.array([0, 0, 1, 2, 0, 2, 0, 0])
    groups = np.array([0, 1, 2, 3, 4, 3, 6, 7])  # image 5 shares a person with training's site
    found = split_by_domain(labels, site, groups, split, train_levels=[0], test_levels=[1])
    np.testing.assert_array_equal(found.part, [0, 0, 1, 2, 3, LEFT_OUT, LEFT_OUT, LEFT_OUT])
    assert isinstance(found, ShiftSplit)
    assert found.left_out.tolist() == [[0, 0, 1], [0, 1, 0]]
    assert np.isnan(found.correlations[3].cramers_v)
    with pytest.raises(ValueError, match=r"the sides must differ"):
        split_by_domain(labels, site, groups, split, train_levels=[0, 1], test_levels=[1])


def test_cramers_v_is_scipys() -> None:
    table = np.array([[20.0, 5, 3], [4, 12, 9]])
    expected = association(table.astype(int), method="cramer")
    assert cramers_v(table) == pytest.approx(expected)
    assert cramers_v(np.pad(table, 1)) == pytest.approx(expected)
    assert np.isnan(cramers_v(np.array([[3.0, 4], [0, 0]])))


def _judged() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 90)
    probabilities = np.exp(np.eye(3)[labels] + generator.normal(size=(90, 3)))
    return labels, probabilities / probabilities.sum(1, keepdims=True), np.arange(90) >= 60


def test_in_domain_out_of_domain_gap_and_mean() -> None:
    labels, probabilities, outside = _judged()
    values = shift_metrics(labels, probabilities, outside, np.ones((1, 90)))[0]
    said = probabilities.argmax(1)
    scores = [balanced_accuracy_score(labels[h], said[h]) for h in (~outside, outside)]
    np.testing.assert_allclose(
        values[:, METRICS.index("balanced_accuracy")],
        [scores[0], scores[1], scores[0] - scores[1], np.mean(scores)],
    )


def test_the_worst_group_is_that_of_each_weighting() -> None:
    labels, probabilities, outside = _judged()
    cell = labels * 2 + outside
    cell[labels == 2] = -1
    weights = np.random.default_rng(1).poisson(1.0, (5, 90)).astype(float)
    weights[0] = 1
    said = probabilities.argmax(1)
    values = worst_group_accuracy(labels, probabilities, cell, weights)
    for value, row in zip(values, weights, strict=True):
        expected = min(
            accuracy_score(labels[cell == c], said[cell == c], sample_weight=row[cell == c])
            for c in range(4)
        )
        assert value == pytest.approx(expected)
    nothing = worst_group_accuracy(labels, probabilities, cell, (cell < 0).astype(float)[None])
    assert np.isnan(nothing[0])
