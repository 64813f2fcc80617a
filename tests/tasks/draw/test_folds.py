"""Folds part the images that are no test images, whole groups each, and select for themselves."""

from dataclasses import replace

import numpy as np
import pytest

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.settings.draw import FoldSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.tasks.draw.folds import draw
from curette.tasks.methods.selection.choosing import choose_concepts
from tests.builders.published_study import KEYS, published_study

_SELECT = SelectSpec(size=Size(per_class=2))


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    """A dataset whose groups have two images each."""
    made = published_study(noise=1.5)[0]
    groups = [f"{split}-{i // 2}" for i, split in enumerate(made.images["split"])]
    return replace(made, images=made.images.assign(group=groups))


def test_each_image_that_is_no_test_image_chooses_once_and_trains_otherwise(
    published: ConceptDataset,
) -> None:
    known = set(published.images["image_id"][published.images["split"] != "test"])
    draws = draw(published, _SELECT, FoldSpec(count=4)).draws
    assert sorted(i for d in draws for i in d.validation_ids) == sorted(known)
    for d in draws:
        assert {*d.image_ids} == known - {*d.validation_ids}


def test_groups_stay_whole_and_classes_even(published: ConceptDataset) -> None:
    images = published.images.set_index("image_id")
    for d in draw(published, _SELECT, FoldSpec(count=4)).draws:
        train, chooses = images.loc[[*d.image_ids]], images.loc[[*d.validation_ids]]
        assert {*train["group"]}.isdisjoint(chooses["group"])
        shares = chooses["label"].value_counts() / images["label"].value_counts()
        assert shares.max() - shares.min() < 0.1


def test_a_fold_selects_what_its_training_images_alone_would(published: ConceptDataset) -> None:
    drawn = draw(published, _SELECT, FoldSpec(count=3)).draws[1]
    rows = np.flatnonzero(published.images["image_id"].isin(drawn.image_ids).to_numpy())
    labels = np.array([KEYS.index(k) for k in published.images["label"].to_numpy()[rows]])
    alone = choose_concepts(
        published.pool, published.pool_vectors, published.vectors[rows], labels, KEYS, _SELECT
    )
    assert set(drawn.concept_ids) == set(alone.ids)


def test_another_seed_deals_otherwise(published: ConceptDataset) -> None:
    first, again, other = (
        draw(published, _SELECT, FoldSpec(count=3, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.draws[0].image_ids != other.draws[0].image_ids


def test_a_fold_without_which_a_class_has_no_image_is_not_drawn(published: ConceptDataset) -> None:
    images = published.images.copy()
    groups = images["group"].where(images["label"] != "a", "one group of a")
    lone = replace(published, images=images.assign(group=groups))
    made = draw(lone, _SELECT, FoldSpec(count=3))
    assert len(made.draws) == 2
    (lost,) = made.unusable
    assert "a class has none to train on" in lost.reason
