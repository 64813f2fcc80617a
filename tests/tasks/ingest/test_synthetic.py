"""The synthetic dermoscopy: repeatable, and its recorded truth can be seen in the pixels."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from curette.tasks.ingest.synthetic import (
    ATTRIBUTE_PHRASES,
    ATTRIBUTES,
    CLASS_PRIOR,
    CLASSES,
    IMAGE_PX,
    LAMP,
    Case,
    SyntheticImage,
    class_posterior,
    draw_case,
    draw_unconfounded_case,
    generate_images,
)

Images = list[SyntheticImage]
Lesions = dict[str, Images]  # the views of each lesion


@lru_cache(maxsize=1000)
def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png))).astype(float)


@pytest.fixture(scope="module")
def images() -> Images:
    return list(generate_images(200, seed=5))


@pytest.fixture(scope="module")
def lesions(images: Images) -> Lesions:
    views: dict[str, Images] = defaultdict(list)
    for image in images:
        views[image.lesion].append(image)
    return dict(views)


def test_equal_seeds_give_equal_bytes_however_many_and_other_seeds_do_not(images: Images) -> None:
    assert list(generate_images(15, seed=5)) == images[:15]
    assert {i.png for i in generate_images(15, seed=6)}.isdisjoint(i.png for i in images)


def test_ids_are_unique_and_pictures_have_the_stated_size(images: Images) -> None:
    assert len({image.image_id for image in images}) == len(images) == 200
    for image in images[:30]:
        assert pixels(image.png).shape == (IMAGE_PX, IMAGE_PX, 3)
        assert pixels(image.mask_png).shape == (IMAGE_PX, IMAGE_PX)
        assert set(np.unique(pixels(image.mask_png))) == {0, 255}


def test_views_of_a_lesion_share_its_truth_but_not_their_pixels(lesions: Lesions) -> None:
    assert sum(len(views) > 1 for views in lesions.values()) > len(lesions) / 2
    for views in lesions.values():
        first = views[0]
        assert len({view.png for view in views}) == len(views)
        for view in views:
            assert (view.subject, view.label, view.site) == (first.subject, first.label, first.site)
            assert view.attributes == first.attributes


def test_a_subject_is_one_person_with_one_or_more_lesions(images: Images) -> None:
    people: dict[str, set[object]] = defaultdict(set)
    held: dict[str, set[str]] = defaultdict(set)
    for image in images:
        people[image.subject].add((image.skin_tone, image.age, image.sex))
        held[image.subject].add(image.lesion)
    assert all(len(person) == 1 for person in people.values())
    assert {len(lesions) for lesions in held.values()} == {1, 2, 3, 4}


def test_every_class_and_attribute_occurs_and_none_is_certain(images: Images) -> None:
    assert {image.label for image in images} == {key for key, _ in CLASSES}
    assert min(CLASS_PRIOR) >= 0.1
    assert sum(CLASS_PRIOR) == pytest.approx(1)
    assert tuple(ATTRIBUTE_PHRASES) == ATTRIBUTES
    shares = np.mean([[image.attributes[name] for name in ATTRIBUTES] for image in images], axis=0)
    assert shares.min() > 0.05
    assert shares.max() < 0.7


def test_the_mask_covers_the_lesion(images: Images) -> None:
    """Dark brown lesions are the pixels darker than halfway between lesion and skin."""
    overlap = []
    for image in images:
        marked = image.hair or image.ruler or image.ink
        if image.attributes["dark_brown"] and not image.attributes["pink"] and not marked:
            light, mask = pixels(image.png).mean(axis=2), pixels(image.mask_png) > 0
            dark = light < (np.median(light[mask]) + np.median(light[~mask])) / 2
            overlap.append((dark & mask).sum() / (dark | mask).sum())
    assert len(overlap) > 20
    assert np.median(overlap) > 0.85


Measure = Callable[[np.ndarray, np.ndarray], float]

MEASURES: dict[str, Measure] = {
    "red_lacunae": lambda rgb, mask: np.percentile((rgb[..., 0] - rgb[..., 1])[mask], 90),
    "pink": lambda rgb, mask: (
        np.percentile(blue_to_green(rgb)[mask], 40) / np.median(blue_to_green(rgb)[~mask])
    ),
    "blue_white_veil": lambda rgb, mask: np.percentile((rgb[..., 2] - rgb[..., 0])[mask], 93),
    "white_scar": lambda rgb, mask: np.percentile(rgb.min(axis=2)[mask], 95) / skin(rgb, mask),
    "black_blotch": lambda rgb, mask: -np.percentile(rgb.max(axis=2)[mask], 4) / skin(rgb, mask),
    "dark_brown": lambda rgb, mask: -np.median(rgb[mask]) / skin(rgb, mask),
    "asymmetric_shape": lambda rgb, mask: -self_overlap(mask),
    "irregular_border": lambda rgb, mask: perimeter(mask) / np.sqrt(mask.sum()),
}


def skin(rgb: np.ndarray, mask: np.ndarray) -> float:
    return float(np.median(rgb[~mask]))


def blue_to_green(rgb: np.ndarray) -> np.ndarray:
    """Low in brown, where melanin takes the blue first; high in pink, where blood takes green."""
    return rgb[..., 2] / rgb[..., 1].clip(1)


def perimeter(mask: np.ndarray) -> int:
    return int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())


def self_overlap(mask: np.ndarray) -> float:
    """Overlap of a shape with itself turned half around its centre of mass."""
    points = np.argwhere(mask)
    turned = np.rint(2 * points.mean(axis=0) - points).astype(int).clip(0, IMAGE_PX - 1)
    return float(mask[turned[:, 0], turned[:, 1]].mean())


@pytest.mark.parametrize("attribute", MEASURES)
def test_attributes_are_visible_to_a_hand_made_measure(attribute: str, images: Images) -> None:
    plain = [image for image in images if not (image.hair or image.ruler or image.ink)]
    if attribute in {"asymmetric_shape", "irregular_border"}:
        plain = [image for image in plain if not image.attributes["streaks"]]
    scores = [MEASURES[attribute](pixels(i.png), pixels(i.mask_png) > 0) for i in plain]
    assert roc_auc_score([i.attributes[attribute] for i in plain], scores) > 0.8


def test_hair_darkens_thin_lines_on_the_skin(images: Images) -> None:
    """Marks are really drawn: with hair, the darkest skin pixels are darker."""
    light = [i for i in images if i.skin_tone in {"I", "II", "III"} and not (i.ruler or i.ink)]
    darkest = [np.percentile(pixels(i.png).mean(axis=2)[pixels(i.mask_png) == 0], 1) for i in light]
    assert roc_auc_score([i.hair for i in light], darkest) < 0.2


def test_an_attribute_multiplies_the_odds_by_its_likelihood_ratio() -> None:
    """Streaks: 0.42 in melanoma, 0.06 in nevi, so (0.42 / 0.06) / (0.58 / 0.94) = 11.345."""
    without = class_posterior(dict.fromkeys(ATTRIBUTES, False))
    given = class_posterior({**dict.fromkeys(ATTRIBUTES, False), "streaks": True})
    odds = [p["melanoma"] / p["nevus"] for p in (without, given)]
    assert odds[1] / odds[0] == pytest.approx(11.345, abs=1e-3)
    assert sum(given.values()) == pytest.approx(1)


def test_attributes_predict_the_class_well_but_not_perfectly(lesions: Lesions) -> None:
    firsts = [views[0] for views in lesions.values()]
    right = 0
    for image in firsts:
        posterior = class_posterior(image.attributes)
        right += max(posterior, key=lambda key: posterior[key]) == image.label
    assert 0.85 < right / len(firsts) < 1


def test_unconfounded_attributes_keep_no_company_and_classes_still_fit_them() -> None:
    rng = np.random.default_rng(0)
    usual = [draw_case(rng) for _ in range(3000)]
    freed = [draw_unconfounded_case(rng) for _ in range(3000)]

    def strongest_correlation(cases: list[Case]) -> float:
        present = np.array([[case.attributes[name] for name in ATTRIBUTES] for case in cases])
        return float(np.abs(np.corrcoef(present.T) - np.eye(len(ATTRIBUTES))).max())

    assert strongest_correlation(usual) > 0.4
    assert strongest_correlation(freed) < 0.08
    expected = np.mean([class_posterior(case.attributes)["vascular"] for case in freed])
    assert np.mean([case.label == "vascular" for case in freed]) == pytest.approx(
        expected, abs=0.02
    )


def test_another_light_changes_the_colours_and_nothing_else() -> None:
    pairs = zip(generate_images(6, 3), generate_images(6, 3, light=LAMP), strict=True)
    for usual, lit in pairs:
        assert replace(lit, png=usual.png) == usual
        ratio = pixels(lit.png).mean((0, 1)) / pixels(usual.png).mean((0, 1))
        np.testing.assert_allclose(ratio, LAMP, rtol=0.02)
