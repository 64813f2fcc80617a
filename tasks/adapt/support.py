"""Which images of a site a head is adapted by: a person's list, held against what is there."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from curette.schemas.adaptation import MOST_IMAGES_A_CLASS, SupportImage
from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import ImageDataset
from curette.tasks.methods.filled_tables import Fault, FilledTable

_ID, _LABEL = "image_id", "label"


@dataclass(frozen=True)
class Listed:
    """A row of the list."""

    image_id: str
    label: str
    """As the person has it; empty: as the dataset has it."""
    row: int | None = field(default=None, compare=False)
    """Of the file, where it stands in one."""


def read_support(content: bytes, file: str) -> tuple[Listed, ...]:
    """Return the rows of a table with a column `image_id` and, if the person likes, `label`.

    Raises:
        StudyError: it is no such table, or names no image, or one twice.
    """
    table = FilledTable("list of support images", file, (_ID,))
    rows = table.rows(content)
    stands: dict[str, int] = {}
    faults = []
    for number, row in rows:
        image = row.get(_ID, "")
        first = stands.setdefault(image, number)
        if not image:
            faults.append(Fault("is empty: name an image, or leave the row out", number, _ID))
        elif first != number:
            told = f"{image!r} stands in row {first} already; name each image once"
            faults.append(Fault(told, number, _ID))
    table.refuse(faults)
    return check_listed(
        [Listed(row[_ID], row.get(_LABEL, ""), number) for number, row in rows], file
    )


def check_listed(listed: Sequence[Listed], where: str) -> tuple[Listed, ...]:
    """Return the list, if it names images, each once.

    Raises:
        StudyError: it does not.
    """
    if not listed:
        raise StudyError(
            f"{where} names no image; 1 to {MOST_IMAGES_A_CLASS} of each class are needed"
        )
    counts = Counter(row.image_id for row in listed)
    if twice := [image for image, n in counts.items() if n > 1]:
        raise StudyError(f"{where} names {_quoted(twice)} more than once; name each image once")
    return tuple(listed)


def find_support(
    listed: Sequence[Listed], site: str, images: ImageDataset, published: ConceptDataset
) -> tuple[str, ...]:
    """Return the site's ids of the listed images, before any of their labels is read.

    Raises:
        StudyError: one is not of the site, or a label is no class of the study.
    """
    known = set(images.images["image_id"])
    own = dict(zip(published.images["image_id"], published.images["split"], strict=True))
    ids = tuple(images.id_of(row.image_id) for row in listed)
    faults = []
    for row, image in zip(listed, ids, strict=True):
        if image not in known:
            faults.append(Fault(_stranger(row.image_id, site, own, images), row.row, _ID))
        if row.label and row.label not in published.class_keys:
            told = (
                f"{row.label!r} is no class of the study; its class keys are "
                f"{_quoted(published.class_keys)}"
            )
            faults.append(Fault(told, row.row, _LABEL))
    FilledTable("list of support images", "", (_ID,)).refuse(faults)
    return ids


def _stranger(image: str, site: str, own: Mapping[str, str], images: ImageDataset) -> str:
    """Say what is wrong with an image that is not of the site."""
    if image in own:
        return (
            f"{image!r} is one of the study's own {own[image]} images. Support images show what is "
            f"different at {site}, so they must be of that dataset."
        )
    ids = dict.fromkeys([*images.images["image_id"], *images.source_ids])  # mostly the same
    near = difflib.get_close_matches(image, [*ids], n=3)
    meant = f"; did you mean {_quoted(near)}?" if near else "."
    return f"{site} has no image {image!r}{meant}"


def label_support(
    listed: Sequence[Listed],
    ids: Sequence[str],
    site: str,
    images: ImageDataset,
    labels: Mapping[str, str],
) -> tuple[SupportImage, ...]:
    """Return the support images with their labels, in the order of their ids.

    Args:
        listed: as the person has it.
        ids: of the site, in the same order.
        site: its name.
        images: the site's.
        labels: of the site's images.

    Raises:
        StudyError: the list contradicts the dataset, or has too many or no image of a class.
    """
    for row, image in zip(listed, ids, strict=True):
        if row.label and row.label != labels[image]:
            raise StudyError(
                f"{row.image_id!r} is {row.label!r} in the list and {labels[image]!r} in {site}. "
                "Correct whichever is wrong; a head fitted to one would be measured by the other."
            )
    counts = Counter(labels[image] for image in ids)
    if missing := sorted(set(labels.values()) - set(counts)):
        raise StudyError(
            f"no support image shows {_quoted(missing)}, which {site} has. Name 1 to "
            f"{MOST_IMAGES_A_CLASS} of each class."
        )
    if many := {key: n for key, n in counts.items() if n > MOST_IMAGES_A_CLASS}:
        told = ", ".join(f"{n} of {key!r}" for key, n in sorted(many.items()))
        raise StudyError(
            f"at most {MOST_IMAGES_A_CLASS} support images a class are taken, and there are "
            f"{told}. With so many labels train on them: make the site a study of its own."
        )
    groups = dict(zip(images.images["image_id"], images.images["group"], strict=True))
    return tuple(
        SupportImage(image_id=i, group=str(groups[i]), class_key=labels[i]) for i in sorted(ids)
    )


def notes_of(support: Sequence[SupportImage], classes: int) -> tuple[str, ...]:
    """Return what a person must know of a choice that rests on these images."""
    counts = Counter(x.class_key for x in support)
    notes = []
    if len(counts) < classes or min(counts.values()) < 2:
        notes.append(
            "A class has fewer than two support images, so that leaving one out leaves none of its "
            "class: only the offset was tried, and such an image was judged by the other classes."
        )
    groups = len({x.group for x in support})
    if groups < len(support):
        notes.append(
            f"The {len(support)} support images are of {groups} groups (subjects or lesions); "
            "they are counted as independent, so the choice seems surer than it is."
        )
    return tuple(notes)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
