"""Heat is held against masks as counting points one by one would do it."""

import numpy as np
import pytest

from tasks.evaluate.pointing import hottest, location_metric, masks_of_others, peak_in_lesion


def test_the_hottest_places_by_hand() -> None:
    heat = np.array([0.1, 0.9, 0.5, 0.3])
    np.testing.assert_allclose(hottest(heat, 1), [0, 1, 0, 0])
    np.testing.assert_allclose(hottest(heat, 2.25), [0, 1, 1, 0.25])
    np.testing.assert_allclose(hottest(heat, 4), [1, 1, 1, 1])


def test_places_of_equal_heat_share_what_is_left() -> None:
    np.testing.assert_allclose(hottest(np.array([3.0, 1.0, 1.0, 0.0]), 2), [1, 0.5, 0.5, 0])
    np.testing.assert_allclose(hottest(np.zeros((2, 8)), 2), np.full((2, 8), 0.25))


def test_clm_is_how_often_a_point_of_the_lesion_falls_into_the_region() -> None:
    generator = np.random.default_rng(0)
    heat = generator.normal(size=(3, 2, 16))
    inside = generator.random((3, 16, 100)) < generator.random((3, 16, 1))  # 100 points a place
    regions = hottest(heat, 4)
    found = location_metric(regions, inside.mean(2))
    for i in range(3):
        place = np.nonzero(inside[i])[0]  # of each point of the lesion
        for c in range(2):
            four = np.argsort(-heat[i, c])[:4]
            assert found[i, c] == pytest.approx(np.isin(place, four).mean())


def test_heat_that_knows_nothing_reaches_its_share_of_the_image() -> None:
    generator = np.random.default_rng(1)
    lesion = np.tile(generator.random(16), (4000, 1))
    heat = generator.normal(size=(4000, 1, 16))
    clm = location_metric(hottest(heat, 4), lesion)
    assert clm.mean() == pytest.approx(0.25, abs=0.01)
    assert peak_in_lesion(heat, lesion).mean() == pytest.approx(lesion.mean(), abs=0.02)
    flat = np.zeros((1, 1, 16))
    assert location_metric(hottest(flat, 4), lesion[:1]).item() == pytest.approx(0.25)
    assert peak_in_lesion(flat, lesion[:1]).item() == pytest.approx(lesion[0].mean())


def test_heat_in_the_lesion_is_found_and_heat_beside_it_is_not() -> None:
    lesion = np.eye(4)[:1]
    for place, found in ((0, 1.0), (3, 0.0)):
        heat = np.eye(4)[place][None, None]
        assert location_metric(hottest(heat, 1), lesion).item() == found
        assert peak_in_lesion(heat, lesion).item() == found


def test_masks_of_others_give_the_mean_over_all_images_of_other_groups() -> None:
    generator = np.random.default_rng(2)
    lesion, groups = generator.random((6, 9)), np.array(["a", "b", "a", "c", "b", "d"])
    regions = hottest(generator.normal(size=(6, 2, 9)), 2.25)
    found = location_metric(regions, masks_of_others(lesion, groups))
    for i in range(6):
        others = [j for j in range(6) if groups[j] != groups[i]]
        one_by_one = [location_metric(regions[i : i + 1], lesion[j : j + 1])[0] for j in others]
        np.testing.assert_allclose(found[i], np.mean(one_by_one, axis=0))


def test_without_other_groups_there_is_no_mask_of_others() -> None:
    assert np.isnan(masks_of_others(np.ones((2, 3)), np.array(["a", "a"]))).all()
