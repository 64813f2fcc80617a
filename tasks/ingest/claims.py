"""What the rows of a listing claim to be, and which of them are refused for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from curette.schemas.artifact import StudyError
from curette.schemas.images import SPLITS, Rejection, RejectionReason
from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.findings import FINDING, in_words, rarest, read_states
from curette.tasks.ingest.label_columns import class_keys, read_labels
from curette.tasks.ingest.listing import (
    MISSING,
    Content,
    Listing,
    Refusal,
    count_trimmed,
    quoted,
    split_name,
    text,
    trimmed,
)
from curette.tasks.ingest.masks import mask_owner
from curette.tasks.ingest.spelling import check_ids, check_labels, check_single
from curette.tasks.ingest.verify import Verified
from curette.tasks.methods.splits import connected_groups, deal_groups

_EXAMPLES = 5
_EXPECTED: tuple[RejectionReason, ...] = ("other-class", "study-image")
"""Why images of an external dataset are left out although nothing is wrong with them."""
_REMEDIES: dict[RejectionReason, str] = {
    "missing-file": "check the image column, `image_folder` and `image_suffix`",
    "unlisted-file": "move such files away, or read the metadata as a `table` source",
    "broken-image": "convert, replace or remove these files",
    "too-many-pixels": "downscale the images or raise `max_pixels`",
    "too-narrow": "cut the images",
    "several-pages": "write the page that is meant as a file of its own",
    "unclear-range": "say under `grey_range` which values are black and white, or convert the "
    "images to 8 bits",
    "broken-mask": "correct the masks, or move them away",
    "outside-folder": "set `image_folder` to the folder that holds all images",
    "missing-label": "check `label_column`, or `label_columns`",
    "unknown-label": "name every label under `classes`, or correct those there",
    "unknown-split": "check `split_column`",
    "missing-id": "check `id_column`",
    "duplicate-id": "name another `id_column`, or none to use file names",
    "conflicting-labels": "correct the labels of equal images",
}


class TooManyRejected(StudyError):
    """More rows were rejected than the study allows."""

    def __init__(self, message: str, rejected: tuple[Rejection, ...] = ()) -> None:
        super().__init__(message)
        self.rejected = rejected


def check_rejected(
    rejected: Sequence[Rejection],
    rows: int,
    allowed: float,
    remedies: Mapping[RejectionReason, str],
) -> None:
    """Stop if more than the allowed share of the rows was rejected because something is wrong.

    `remedies` are those of the source, which go before the usual ones.

    Raises:
        TooManyRejected: saying how many, for which reasons, some of them, and what to do.
    """
    rejected = [r for r in rejected if r.reason not in _EXPECTED]
    if len(rejected) <= allowed * rows:
        return
    told = {**_REMEDIES, **remedies}
    reasons = Counter(r.reason for r in rejected).most_common()
    counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
    lines = [
        f"{len(rejected):,} of {rows:,} rows were rejected ({len(rejected) / rows:.1%}), and "
        f"`dataset.max_rejected` allows {allowed:.1%}: {counts}. For example:",
        *(f"{quoted(r.row)}: {r.reason}, {r.detail}" for r in rejected[:_EXAMPLES]),
        "Correct the data or the study file, or raise `max_rejected` if these rows should be "
        "left out.",
        *(f"{reason}: {told[reason]}" for reason, _ in reasons if reason in told),
    ]
    raise TooManyRejected("\n  ".join(lines), tuple(rejected))


def read_claims(listing: Listing, spec: DatasetSpec) -> pd.DataFrame:
    """Return what the rows say about themselves, in the listing's order.

    Args:
        listing: the rows.
        spec: `labels` says which label stands for which class key; others stand as they are.

    Returns:
        The columns row, image_id, label, stratum, part, subject and lesion: row numbers, and text
        or `None`. `part` is what the source calls the split, `stratum` what splits are stratified
        by, which is the label; where there are several findings it is the rarest that is present,
        the label tells all of them in words, and each has a column of its states.

    Raises:
        StudyError: labels or ids differ in form alone, or cells hold several labels at once.
    """
    columns, nothing = listing.columns, [None] * len(listing)
    parts = listing.parts if len(set(listing.parts or ()) - {None}) > 1 else None
    states = read_states(listing, spec) if spec.findings else {}
    labels: Sequence[str | None] = in_words(states) if states else _labels(listing, spec)

    def column(name: str | None, default: Sequence[str | None]) -> Sequence[str | None]:
        return default if name is None else text(listing.table, name)

    ids = {
        "image_id": column(columns.image_id, listing.names),
        "subject": column(columns.subject, nothing),
        "lesion": column(columns.lesion, nothing),
    }
    for what, values in ids.items():
        if (name := getattr(columns, what)) is not None:
            check_ids(values, name, what.removesuffix("_id"))
    claims = {
        "row": range(len(listing)),
        "image_id": ids["image_id"],
        "label": labels,
        "stratum": rarest(states) if states else labels,
        "part": column(columns.split, parts or nothing),
        "subject": ids["subject"],
        "lesion": ids["lesion"],
        **{f"{FINDING}{key}": column for key, column in states.items()},
    }
    return pd.DataFrame(claims, dtype=object)


def _labels(listing: Listing, spec: DatasetSpec) -> list[str | None]:
    """Return the class key of every row.

    Raises:
        StudyError: labels differ in form alone, or cells hold several at once.
    """
    columns = listing.columns
    labels = read_labels(listing)
    if not columns.one_of:
        check_single(labels, columns.label, {*spec.classes, *map(trimmed, spec.labels)})
    keys = class_keys(labels, spec)
    check_labels(keys, ", ".join(columns.labels), spec.classes)
    return keys


def told_of_blanks(listing: Listing) -> list[str]:
    """Say of which named columns blanks at the ends of values were taken off."""
    counts = {name: count_trimmed(listing.table, name) for name in listing.columns.names}
    return [
        f"Blanks at the ends of {count:,} values of {quoted(name)} were taken off."
        for name, count in counts.items()
        if count and name != listing.columns.report
    ]


def told_of_odd_classes(claims: pd.DataFrame, spec: DatasetSpec) -> list[str]:
    """Say of labels that elsewhere mean nothing, and that the study does not name, how many."""
    counts = claims["label"].value_counts()
    odd = [label for label in counts.index if label in MISSING and label not in spec.classes]
    return [
        f"{quoted(label)} is the class of {counts[label]:,} images: of labels only empty cells are "
        "missing. Where it means that nobody knows, empty those cells."
        for label in ([] if spec.classes else sorted(odd))
    ]


def draw_claims(claims: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """Return about `limit` of the claims: whole groups, each class and split by its share."""
    claims = claims.sort_values(["image_id", "label"], kind="stable")
    strata = codes(claims["stratum"].fillna("") + "\0" + claims["part"].fillna(""))
    group = connected_groups(codes(claims["subject"]), codes(claims["lesion"]))
    share = limit / len(claims)
    part = deal_groups(group, strata, np.array([share, 1 - share]), seed)
    return claims[part == 0].sort_values("row")


def claimed_contents(
    listing: Listing, claims: pd.DataFrame, spec: DatasetSpec, of_study: Collection[str] = ()
) -> Iterator[Content]:
    """Yield the claims' images, refused at once where the claim itself is no good.

    Args:
        listing: the rows.
        claims: some of them, and what they say.
        spec: the classes, where they are named, and whether there is a split.
        of_study: class keys of the study, where this is another dataset.
    """
    masks = named_like_masks(listing.names)
    is_split = spec.split_column is not None or bool(claims["part"].notna().any())
    without_label = "its label is empty"
    if spec.label_columns:
        without_label = "not exactly one of its `label_columns` is 1"
    contents = listing.contents(claims["row"].to_numpy(dtype=np.int64))
    rows = zip(contents, *(claims[c] for c in ("row", "image_id", "label", "part")), strict=True)
    for content, row, image_id, label, part in rows:
        if isinstance(content, Refusal):
            yield content
        elif row in masks:
            said = f"it is named like a mask of {quoted(masks[row])}, which is an image too"
            yield Refusal("unlisted-file", said)
        elif image_id is None:
            yield Refusal("missing-id", "its id is empty")
        elif label is None:
            yield Refusal("missing-label", without_label)
        elif of_study and label not in of_study:
            yield Refusal("other-class", f"its label {quoted(label)} is no class of the study")
        elif spec.classes and label not in spec.classes:
            known = ", ".join(spec.classes)
            yield Refusal("unknown-label", f"its label {quoted(label)} is none of {known}")
        elif is_split and split_name(part or "") is None:
            known = ", ".join(SPLITS)
            yield Refusal("unknown-split", f"its split {quoted(part or '')} is none of {known}")
        else:
            yield content


def named_like_masks(names: Sequence[str]) -> dict[int, str]:
    """Return the rows that are named like another one and `_mask` or the like, and which one."""
    known = {name.casefold() for name in names}
    owners = ((row, mask_owner(name)) for row, name in enumerate(names))
    return {row: owner for row, owner in owners if owner and owner.casefold() in known}


def sort_out(
    claims: pd.DataFrame, names: Sequence[str], found: Iterable[Verified | Refusal]
) -> tuple[pd.DataFrame, list[Rejection]]:
    """Return the claims that are images, sorted by id, and the rejected ones.

    `sha256`, `location` and `mask_location` join the columns of the claims.
    """
    verified, kept, rejected = [], [], []
    rows = zip(claims["row"], claims["image_id"], found, strict=True)
    for i, (row, image_id, what) in enumerate(rows):
        if isinstance(what, Refusal):
            rejected.append(_rejection(image_id or names[row], what))
        else:
            kept.append(i)
            verified.append(what)
    images = claims.iloc[kept].assign(
        sha256=[v.sha256 for v in verified],
        location=[v.location for v in verified],
        mask_location=[v.mask_location for v in verified],
    )
    return without_contradictions(images, rejected)


def without_contradictions(
    images: pd.DataFrame, rejected: list[Rejection]
) -> tuple[pd.DataFrame, list[Rejection]]:
    """Reject equal bytes under two labels, and rows that share an id.

    Nobody can tell which of them is right, so none is kept; only where rows with one id have
    equal bytes too does the first of them stay.
    """
    rejected = list(rejected)
    images = images.sort_values(["image_id", "row"], ignore_index=True)
    labels = images.groupby("sha256", sort=False)["label"].transform("nunique")
    for _, rows in images[labels > 1].groupby("sha256"):
        pairs = zip(rows["image_id"], rows["label"], strict=True)
        said = [f"{quoted(image_id)} as {quoted(label)}" for image_id, label in pairs]
        why = Refusal("conflicting-labels", "the same bytes are " + ", ".join(said[:_EXAMPLES]))
        rejected += [_rejection(image_id, why) for image_id in rows["image_id"]]
    images = images[labels == 1]
    different = images.groupby("image_id", sort=False)["sha256"].transform("nunique")
    kept = (different == 1) & ~images["image_id"].duplicated()
    for image_id, count in zip(images["image_id"][~kept], different[~kept], strict=True):
        said_twice = (
            "the same image is listed more than once; one row of it is kept"
            if count == 1
            else f"{count} different images have this id; none of them is kept"
        )
        rejected.append(_rejection(image_id, Refusal("duplicate-id", said_twice)))
    return images[kept].reset_index(drop=True), sorted(rejected, key=lambda r: (r.row, r.reason))


def codes(column: pd.Series[str]) -> Int[np.ndarray, " row"]:
    """Return a number for each distinct text; -1 where there is none."""
    return pd.factorize(column)[0].astype(np.int64)


def _rejection(row: str, refusal: Refusal) -> Rejection:
    return Rejection(row=_unicode(row), reason=refusal.reason, detail=_unicode(refusal.detail))


def _unicode(foreign: str) -> str:
    """Return text that every file can hold; file names need not be UTF-8."""
    return foreign.encode("utf-8", "backslashreplace").decode()
