"""Which images of a site a head is adapted by: a person's list, held against what is there."""

import csv
import difflib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curette.schemas.adaptation import MOST_IMAGES_A_CLASS, SupportImage
from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import ImageDataset

_ID, _LABEL = "image_id", "label"


@dataclass(frozen=True)
class Listed:
    """A row of the list."""

    image_id: str
    label: str
    """As the person has it; empty: as the dataset has it."""


def read_support(content: bytes, file: str) -> tuple[Listed, ...]:
    """Return the rows of a table with a column `image_id` and, if the person likes, `label`.

    Raises:
        StudyError: it is no such table, or names no image, or one twice.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise StudyError(f"{file} is not UTF-8; save it as `CSV UTF-8`") from None
    first = text.partition("\n")[0]
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count)))
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    if _ID not in columns:
        raise StudyError(
            f"{file} has no column {_ID}: its first line must name the columns, {_ID} and, if you "
            f"like, {_LABEL}"
        )
    named = [dict(zip(columns, map(str.strip, cells), strict=False)) for cells in rows[1:]]
    listed = tuple(Listed(row[_ID], row.get(_LABEL, "")) for row in named if row.get(_ID))
    return check_listed(listed, file)


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
    for row, image in zip(listed, ids, strict=True):
        if image in known:
            continue
        if row.image_id in own:
            raise StudyError(
                f"{row.image_id!r} is one of the study's own {own[row.image_id]} images. Support "
                f"images show what is different at {site}, so they must be of that dataset."
            )
        near = difflib.get_close_matches(row.image_id, [*known, *images.source_ids], n=3)
        meant = f"; did you mean {_quoted(near)}?" if near else "."
        raise StudyError(f"{site} has no image {row.image_id!r}{meant}")
    strange = sorted({r.label for r in listed if r.label} - set(published.class_keys))
    if strange:
        raise StudyError(
            f"the label {_quoted(strange)} is no class of the study; its class keys are "
            f"{_quoted(published.class_keys)}"
        )
    return ids


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
