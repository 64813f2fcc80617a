"""A list of support images is held against site and study; each fault is one clear error."""

import re

import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import ImageDataset
from curette.tasks.adapt.support import (
    Listed,
    check_listed,
    find_support,
    label_support,
    notes_of,
    read_support,
)
from tests.builders.published_study import KEYS, published_study
from tests.builders.small_study import small_study


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return published_study()[0]


@pytest.fixture(scope="module")
def site() -> ImageDataset:
    return small_study().dataset


@pytest.fixture(scope="module")
def labels(site: ImageDataset) -> dict[str, str]:
    return {image: KEYS[i % 3] for i, image in enumerate(site.images["image_id"])}


def _each(labels: dict[str, str], count: int) -> list[Listed]:
    return [
        Listed(image, "")
        for key in KEYS
        for image in [image for image, label in labels.items() if label == key][:count]
    ]


def test_a_table_is_read_with_or_without_labels_and_by_any_separator() -> None:
    assert read_support(b"image_id\nx\n\ny\n", "s.csv") == (Listed("x", ""), Listed("y", ""))
    with_labels = b"\xef\xbb\xbflabel;image_id;more\na; x ;1\n"
    assert read_support(with_labels, "s.csv") == (Listed("x", "a"),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "list of support images s.csv; nothing was imported:\n  row 1: column image_id is"),
        (
            b"id\nx\n",
            "list of support images s.csv; nothing was imported:\n  row 1: column image_id is",
        ),
        (b"image_id\n\n", "s.csv names no image; 1 to 8 of each class"),
        (b"image_id\nx\nx\n", "row 3, column image_id: 'x' stands in row 2 already"),
        (b"image_id\n\xff\n", "s.csv; nothing was imported:\n  it is not UTF-8"),
    ],
)
def test_what_is_no_list_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        read_support(content, "s.csv")


def test_an_image_of_the_study_itself_is_refused(
    site: ImageDataset, published: ConceptDataset
) -> None:
    own = published.images[published.images["split"] == "train"]["image_id"]
    mine = next(image for image in own if image not in set(site.images["image_id"]))
    with pytest.raises(StudyError, match=f"'{mine}' is one of the study's own train images"):
        find_support([Listed(mine, "")], "lamp", site, published)


def test_an_unknown_image_is_refused_with_what_is_alike(
    site: ImageDataset, published: ConceptDataset
) -> None:
    known = site.images["image_id"].iloc[0]
    with pytest.raises(
        StudyError, match=f"lamp has no image '{known}x'; did you mean '{known}'"
    ) as refused:
        find_support([Listed(f"{known}x", "")], "lamp", site, published)
    assert str(refused.value).count(f"'{known}'") == 1


def test_a_label_that_is_no_class_is_refused(site: ImageDataset, published: ConceptDataset) -> None:
    known = site.images["image_id"].iloc[0]
    with pytest.raises(StudyError, match="'z' is no class of the study; its class keys are 'a'"):
        find_support([Listed(known, "z")], "lamp", site, published)


def test_a_label_that_the_dataset_contradicts_is_refused(
    site: ImageDataset, labels: dict[str, str]
) -> None:
    known = site.images["image_id"].iloc[0]
    with pytest.raises(StudyError, match=f"'{known}' is 'b' in the list and 'a' in lamp"):
        label_support([Listed(known, "b")], [known], "lamp", site, labels)


def test_every_class_has_1_to_8_images(site: ImageDataset, labels: dict[str, str]) -> None:
    def label(listed: list[Listed]) -> int:
        return len(label_support(listed, [x.image_id for x in listed], "lamp", site, labels))

    assert label(_each(labels, 1)) == 3
    assert label(_each(labels, 8)) == 24
    with pytest.raises(StudyError, match="no support image shows 'c', which lamp has"):
        label(_each(labels, 2)[:4])
    with pytest.raises(StudyError, match=re.escape("at most 8 support images a class are taken")):
        label(_each(labels, 9))


def test_one_image_a_class_and_images_of_one_group_are_said(
    site: ImageDataset, labels: dict[str, str]
) -> None:
    listed = _each(labels, 1)
    support = label_support(listed, [x.image_id for x in listed], "lamp", site, labels)
    apart = [x.model_copy(update={"group": x.image_id}) for x in support]
    assert [note[:35] for note in notes_of(apart, 3)] == ["A class has fewer than two support "]
    one = [x.model_copy(update={"group": "s1"}) for x in support]
    assert "are of 1 groups" in notes_of(one, 3)[1]


def test_a_list_of_ids_alone_is_checked_as_a_table_is() -> None:
    with pytest.raises(StudyError, match="support names no image"):
        check_listed([], "support")
