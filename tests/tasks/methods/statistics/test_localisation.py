"""Heat is held against masks as counting points one by one would do it."""

import numpy as np
import pytest

from curette.tasks.methods.statistics.localisation import (
    hottest,
    lead_over_others,
    location_metric,
    means_of_others,
    peak_in_lesion,
)


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


def test_the_mean_map_of_other_groups_one_by_one() -> None:
    generator = np.random.default_rng(2)
    maps, groups = generator.random((6, 9)), np.array(["a", "b", "a", "c", "b", "d"])
    found = means_of_others(maps, groups)
    for i in range(6):
        np.testing.assert_allclose(found[i], maps[groups != groups[i]].mean(0))
    assert np.isnan(means_of_others(np.ones((2, 3)), np.array(["a", "a"]))).all()


def test_the_lead_of_single_images_is_the_covariance_of_region_and_mask() -> None:
    generator = np.random.default_rng(3)
    regions, lesion = generator.random((50, 9)), generator.random((50, 9))
    masks = lesion / lesion.sum(1, keepdims=True)
    covariance = sum(np.cov(regions[:, p], masks[:, p])[0, 1] for p in range(9))
    lead = lead_over_others(regions, lesion, np.arange(50))
    assert lead.mean() == pytest.approx(covariance)


def test_regions_that_know_nothing_of_their_image_are_ahead_by_nothing() -> None:
    generator = np.random.default_rng(4)
    groups = np.repeat(np.arange(20), generator.integers(1, 9, size=20))
    size = np.bincount(groups)[groups]  # whoever has many images has other lesions
    lesion = generator.random((len(groups), 16)) ** size[:, None]
    always = np.tile(hottest(generator.random(16), 4), (len(groups), 1))
    np.testing.assert_allclose(lead_over_others(always, lesion, groups), 0, atol=1e-12)
    by_chance = [
        lead_over_others(hottest(generator.random(lesion.shape), 4), lesion, groups).mean()
        for _ in range(400)
    ]
    error = np.std(by_chance) / np.sqrt(len(by_chance))
    assert abs(np.mean(by_chance)) < 4 * error


def test_regions_that_find_their_lesion_are_ahead_by_what_others_miss() -> None:
    lesion = np.eye(4)[np.arange(400) % 4]  # one place each, found by a region of one place
    lead = lead_over_others(hottest(lesion, 1), lesion, np.arange(400))
    assert lead.mean() == pytest.approx(0.75, abs=0.01)
