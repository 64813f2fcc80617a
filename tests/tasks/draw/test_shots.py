"""Draws are stratified, nested and take groups one by one."""

import numpy as np
import pytest

from curette.tasks.draw.shots import draw_shots

_LABELS = np.repeat([0, 1, 2], [10, 6, 3])
_GROUPS = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7])


@pytest.mark.parametrize("shots", [1, 2, 3, 5])
def test_a_draw_has_so_many_of_each_class_and_no_image_twice(shots: int) -> None:
    for draw in draw_shots(_LABELS, _GROUPS, shots, range(10)):
        counts = np.bincount(_LABELS[draw])
        assert counts.tolist() == [min(shots, n) for n in (10, 6, 3)]
        assert len(set(draw.tolist())) == len(draw)


def test_groups_give_a_second_image_only_when_all_have_given_one() -> None:
    for draw in draw_shots(_LABELS, _GROUPS, 4, range(20)):
        groups = _GROUPS[draw[_LABELS[draw] == 0]]
        assert sorted(groups) == [0, 1, 2, 3]
        assert sorted(np.bincount(_GROUPS[draw[_LABELS[draw] == 1]])[4:]) == [1, 1, 2]


def test_draws_of_a_seed_are_nested_and_those_of_seeds_differ() -> None:
    few, more, everything = (draw_shots(_LABELS, _GROUPS, n, [3, 4]) for n in (1, 4, None))
    for a, b in zip(few, more, strict=True):
        assert set(a.tolist()) <= set(b.tolist())
    assert not np.array_equal(more[0], more[1])
    assert sorted(everything[0].tolist()) == list(range(19))
    np.testing.assert_array_equal(draw_shots(_LABELS, _GROUPS, 4, [3, 4]), more)


def test_every_image_of_a_group_is_drawn_as_often_as_its_fellows() -> None:
    drawn = draw_shots(np.zeros(3, dtype=int), np.zeros(3, dtype=int), 1, range(600)).flatten()
    assert np.bincount(drawn).min() > 200 - 4 * np.sqrt(600 * 2 / 9)


def test_no_shot_and_a_lost_class_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 image a class, got 0"):
        draw_shots(_LABELS, _GROUPS, 0, [0])
    with pytest.raises(ValueError, match=r"classes \[1\] have no training image to draw"):
        draw_shots(np.array([0, 2]), np.array([0, 1]), 1, [0])
