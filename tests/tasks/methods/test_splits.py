"""Grouping and dealing, against brute force and scikit-learn."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Int
from sklearn.model_selection import StratifiedGroupKFold

from curette.tasks.methods.splits import connected_groups, deal_groups

UNHURRIED = settings(deadline=None, max_examples=60)
SHARES = np.array([0.6, 0.2, 0.2])
keys = st.lists(st.tuples(*[st.integers(-1, 6)] * 3), min_size=1, max_size=12).map(
    lambda rows: np.array(rows, dtype=np.int64).T
)
rows_of_one_class = st.lists(  # (group, class): each group has the class of its number modulo 3
    st.integers(0, 40), min_size=1, max_size=80
).map(lambda groups: (np.array(groups, dtype=np.int64), np.array(groups, dtype=np.int64) % 3))
mixed_rows = st.lists(
    st.tuples(st.integers(0, 15), st.integers(0, 3)), min_size=1, max_size=60
).map(lambda rows: tuple(np.array(rows, dtype=np.int64).T))

Rows = tuple[Int[np.ndarray, " row"], Int[np.ndarray, " row"]]


def brute_force_groups(columns: Int[np.ndarray, "key row"]) -> list[int]:
    """Merge until nothing changes."""
    group = list(range(columns.shape[1]))
    changed = True
    while changed:
        changed = False
        for column in columns:
            for a in range(len(group)):
                for b in range(len(group)):
                    if column[a] == column[b] >= 0 and group[a] > group[b]:
                        group[a], changed = group[b], True
    return group


@UNHURRIED
@given(keys)
def test_groups_are_the_connected_components(columns: Int[np.ndarray, "key row"]) -> None:
    assert connected_groups(*columns).tolist() == brute_force_groups(columns)


def test_a_subject_and_then_a_lesion_link_far_rows() -> None:
    subject = np.array([0, 0, 1, -1])
    lesion = np.array([-1, 5, 5, -1])
    assert connected_groups(subject, lesion).tolist() == [0, 0, 0, 3]


def test_equal_numbers_in_two_columns_link_nothing() -> None:
    assert connected_groups(np.array([0, 1]), np.array([1, 0])).tolist() == [0, 1]


@UNHURRIED
@given(mixed_rows, st.integers(0, 5))
def test_no_group_is_parted(rows: Rows, seed: int) -> None:
    group, label = rows
    part = deal_groups(group, label, SHARES, seed)
    assert all(len(set(part[group == g])) == 1 for g in group)
    assert set(part) <= {0, 1, 2}


@UNHURRIED
@given(rows_of_one_class, st.integers(0, 5))
def test_a_class_reaches_as_many_parts_as_it_has_groups(rows: Rows, seed: int) -> None:
    group, label = rows
    part = deal_groups(group, label, SHARES, seed)
    for k in set(label):
        groups = len(set(group[label == k]))
        assert set(part[label == k]) >= set(range(min(groups, 3)))


@UNHURRIED
@given(rows_of_one_class, st.integers(0, 5))
def test_no_class_is_further_from_its_share_than_its_largest_groups(rows: Rows, seed: int) -> None:
    group, label = rows
    part = deal_groups(group, label, SHARES, seed)
    largest = max(np.bincount(group))
    for k in set(label):
        in_class = label == k
        for p, share in enumerate(SHARES):
            found, wanted = (in_class & (part == p)).sum(), share * in_class.sum()
            assert abs(found - wanted) <= 2 * largest


@UNHURRIED
@given(mixed_rows, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_decides_nothing(rows: Rows, random: Random) -> None:
    group, label = rows
    order = list(range(len(group)))
    random.shuffle(order)
    part = deal_groups(group, label, SHARES, seed=1)
    assert deal_groups(group[order], label[order], SHARES, seed=1).tolist() == part[order].tolist()


def test_another_seed_is_another_deal_and_the_same_seed_the_same() -> None:
    group = np.arange(200)
    label = group % 2
    first, again, other = (deal_groups(group, label, SHARES, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_single_rows_meet_every_share_exactly() -> None:
    label = np.repeat([0, 1, 2], [500, 100, 10])
    part = deal_groups(np.arange(610), label, SHARES, seed=3)
    counts = [[int(((label == k) & (part == p)).sum()) for p in range(3)] for k in range(3)]
    assert counts == [[300, 100, 100], [60, 20, 20], [6, 2, 2]]


def test_mixed_groups_still_bring_each_class_everywhere() -> None:
    # Class 1 appears only beside class 0, in three of forty subjects.
    group = np.concatenate([np.arange(40), [0, 1, 2]])
    label = np.concatenate([np.zeros(40, np.int64), [1, 1, 1]])
    for seed in range(20):
        part = deal_groups(group, label, SHARES, seed)
        assert set(part[label == 1]) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_nearer_than_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.geometric(0.4, 400)
    of_group = rng.choice(4, 400, p=[0.7, 0.2, 0.07, 0.03])
    group, label = np.repeat(np.arange(400), size), np.repeat(of_group, size)
    ours = deal_groups(group, label, SHARES, seed)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    theirs = np.zeros_like(ours)
    for part, (_, held_out) in zip((1, 2), folds.split(label, label, group), strict=False):
        theirs[held_out] = part
    assert _farthest(ours, label) <= _farthest(theirs, label)


def _farthest(part: Int[np.ndarray, " row"], label: Int[np.ndarray, " row"]) -> float:
    """Return the largest difference between a class's share of a part and the wanted one."""
    return max(
        abs(float((part[label == k] == p).mean()) - SHARES[p]) for k in range(4) for p in range(3)
    )


@UNHURRIED
@given(st.integers(0, 5))
def test_a_limit_keeps_each_class_in_its_share(seed: int) -> None:
    label = np.repeat([0, 1], [180, 20])
    kept = deal_groups(np.arange(200), label, np.array([0.1, 0.9]), seed) == 0
    assert np.bincount(label[kept]).tolist() == [18, 2]
