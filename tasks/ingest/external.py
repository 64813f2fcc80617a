"""Taking in another dataset beside the study's own: its classes are the study's, all is test."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from curette.schemas.artifact import StudyError
from curette.schemas.images import ClassLabel, ImageDataset, Rejection
from curette.tasks.ingest.listing import quoted
from curette.tasks.ingest.spelling import check_labels

_LISTED_LABELS = 20


def check_common_classes(
    labels: Sequence[str | None], renamed: dict[str, str], classes: Sequence[ClassLabel]
) -> None:
    """Refuse a dataset whose labels cannot be held against the study's classes.

    Args:
        labels: of all rows, as classes of the study where they are renamed to them.
        renamed: the spec's `labels`.
        classes: of the study.

    Raises:
        StudyError: a label is renamed to no class of the study, or fewer than two of its classes
            are there, or a label is a class of the study in another spelling.
    """
    keys = [c.key for c in classes]
    ours = ", ".join(quoted(key) for key in keys)
    if strange := sorted(set(renamed.values()) - set(keys)):
        raise StudyError(
            f"`labels` names {', '.join(quoted(key) for key in strange)}, which is no class of the "
            f"study; its class keys are: {ours}. Correct `labels`."
        )
    check_labels(labels, "label_column", keys)
    found = sorted({label for label in labels if label is not None})
    if len(common := set(keys) & set(found)) < 2:
        listed = ", ".join(quoted(label) for label in found[:_LISTED_LABELS])
        what = f"only the class {quoted(*common)}" if common else "no class"
        raise StudyError(
            f"it has {what} in common with the study, and at least two are needed. Its "
            f"labels are: {listed or 'none'}{', ...' * (len(found) > _LISTED_LABELS)}; the study's "
            f"class keys are: {ours}. Usually both say the same in other words: say under `labels` "
            "which label is which class."
        )


def without_study_images(
    images: pd.DataFrame, rejected: Sequence[Rejection], own: ImageDataset
) -> tuple[pd.DataFrame, list[Rejection]]:
    """Reject images of which the study has the very bytes: no number of them is out of domain.

    Raises:
        StudyError: none is left.
    """
    twin = images["sha256"].map(
        dict(zip(own.images["sha256"], own.images["image_id"], strict=True))
    )
    here = twin.notna()
    if bool(here.all()):
        why = ", which are images of the study, byte for byte" if len(images) else ""
        raise StudyError(
            f"nothing is left of its {len(images):,} images{why}. An external dataset must be "
            "another one: correct its `source`."
        )
    pairs = zip(images["image_id"][here], twin[here], strict=True)
    known = [
        Rejection(
            row=image_id,
            reason="study-image",
            detail=f"the same bytes are {quoted(same)} of the study's own images",
        )
        for image_id, same in pairs
    ]
    together = sorted([*rejected, *known], key=lambda r: (r.row, r.reason))
    return images[~here].reset_index(drop=True), together
