"""From a study's source to its images: checked, grouped, split, their test labels set apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.images import (
    ATTRIBUTE,
    METADATA,
    SPLITS,
    ClassLabel,
    ImageDataset,
    Rejection,
    Reports,
    Split,
    TestLabels,
    hold_ids,
)
from curette.schemas.passages import PASSAGE, letters
from curette.schemas.settings.ingest import DatasetSpec, SplitSpec
from curette.tasks.ingest.claims import (
    check_rejected,
    claimed_contents,
    codes,
    draw_claims,
    read_claims,
    sort_out,
    told_of_blanks,
    told_of_odd_classes,
)
from curette.tasks.ingest.external import check_common_classes, without_study_images
from curette.tasks.ingest.findings import FINDING, classes_of, label_images
from curette.tasks.ingest.listing import Listing, Refusal, quoted, split_name, text
from curette.tasks.ingest.ranges import settle_ranges
from curette.tasks.ingest.readers import Watch, list_images
from curette.tasks.ingest.subjects import unnamed_subject
from curette.tasks.ingest.verify import Verified, verify_images
from curette.tasks.ingest.withdrawal import Withdrawal
from curette.tasks.methods.encoder.pixels import Window
from curette.tasks.methods.splits import connected_groups, deal_groups

_IMPORTANCE: tuple[Split, ...] = ("train", "test", "validation")
"""The splits that a class with few groups reaches first."""
_FAR = 0.05
"""Share of the images by which a split may miss its wanted size without a word."""
_IMAGES_PER_VALUE = 5
_NEARLY_ALL = 0.95
"""A column with fewer images for each of its values is a column of ids, not of classes."""
_FREE_TEXT = 0.5
"""A column is free text where more than this share of its values are different and that long."""
_LISTED = 20
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TEXT_COLUMNS = (
    "image_id",
    "sha256",
    "location",
    "mask_location",
    "split",
    "label",
    "subject",
    "lesion",
    "group",
)


@dataclass(frozen=True)
class LabelledImages:
    """An image dataset whose test labels were not set apart yet; see `ImageDataset`."""

    images: pd.DataFrame
    classes: tuple[ClassLabel, ...]
    rejected: tuple[Rejection, ...]
    root: str
    source: str
    synthetic: bool
    phrases: Mapping[str, AttributePhrases]
    notes: tuple[str, ...]
    reports: Reports | None
    """Nothing where the study names no column of them."""
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unnamed_subject: str = ""
    withdrawn: int = 0
    """Rows of the source that were left out, as if it had never had them."""

    def without_classes_in_ids(self, renamed: Collection[str] = ()) -> LabelledImages:
        """Return the images under ids that are no paths through a folder named like their class.

        Ids are published, so where one would tell a class all are replaced by digests of
        themselves; rows stay sorted by them.

        Args:
            renamed: labels in the data that stand for classes.
        """
        ids = self.images["image_id"]
        pairs = zip(ids, self.images["label"], strict=True)
        if not any({label, *renamed} & set(id_.split("/")[:-1]) for id_, label in pairs):
            return self
        digests = {i: hashlib.sha256(i.encode()).hexdigest()[:16] for i in ids}
        note = "Ids were paths that name the class; they are digests of these paths now."
        return self._renamed(digests, note)

    def without_patients_in_ids(self, pseudonym: Callable[[str, str], str]) -> LabelledImages:
        """Return the images under pseudonyms where ids hold those of their subjects or lesions.

        Subjects and lesions go out under pseudonyms, and image ids as they are. Only columns that
        the study names are looked at; what was drawn here is of nobody.

        Args:
            pseudonym: from what a thing is and its id to what it is called outside.
        """
        images, ids = self.images, self.images["image_id"]
        owners = [c for c in ("subject", "lesion") if images[c].notna().any()]
        named = {c: images[c].where(images[c].notna(), None).tolist() for c in owners}
        counts = {c: sum(hold_ids(ids.tolist(), owned)) for c, owned in named.items()}
        telling = [f"{count:,} hold the id of their {c}" for c, count in counts.items() if count]
        if self.synthetic or not telling:
            return self
        note = (
            f"Of the images' ids {' and '.join(telling)}, so all ids are pseudonyms now. The store "
            "alone knows which image is which, and `curette explain` takes the old ids too."
        )
        return self._renamed({i: pseudonym("image", i) for i in ids}, note)

    def _renamed(self, names: Mapping[str, str], note: str) -> LabelledImages:
        """Return the same under other ids, in their order, with what the data called them."""
        ids, reports = self.images["image_id"], self.reports
        images = self.images.assign(
            image_id=ids.map(names),
            group=self.images["group"].map(names),
            source_id=self.images.get("source_id", ids),
        )
        return replace(
            self,
            images=images.sort_values("image_id", ignore_index=True),
            notes=(*self.notes, note),
            reports=reports and Reports(texts={names[i]: t for i, t in reports.texts.items()}),
        )

    def of_finding(self, spec: DatasetSpec) -> LabelledImages:
        """Return the images as the study of one of several findings has them.

        It comes last: ids, groups and splits are those of all images, whatever is left out of a
        finding, so that all findings share them.

        Raises:
            StudyError: some finding cannot be trained or tested; see `label_images`.
        """
        images, unclear, notes = label_images(self.images, spec)
        kept, reports = {*images["image_id"]}, self.reports
        return replace(
            self,
            images=images,
            rejected=(*self.rejected, *unclear),
            notes=(*self.notes, *notes),
            reports=reports
            and Reports(texts={i: t for i, t in reports.texts.items() if i in kept}),
        )

    def test_labels(self) -> TestLabels:
        """Return the labels that only the last evaluation may read."""
        held_out = self.images[self.images["split"] == "test"]
        return TestLabels(labels=dict(zip(held_out["image_id"], held_out["label"], strict=True)))

    def set_apart(
        self, test_labels: Ref[TestLabels], reports: Ref[Reports] | None = None
    ) -> ImageDataset:
        """Return the dataset without its reports and test labels, whatever column repeats them."""
        images, labels = self.images.copy(), self.images["label"]
        held_out = images["split"] == "test"
        metadata = [name for name in images.columns if name.startswith(METADATA)]
        telling = [name for name in metadata if _tells_the_class(images[name], labels)]
        for name in ("label", *telling):
            images[name] = images[name].where(~held_out)
        return ImageDataset(
            images=images,
            classes=self.classes,
            rejected=self.rejected,
            root=self.root,
            source=self.source,
            synthetic=self.synthetic,
            class_counts=self.class_counts,
            test_labels=test_labels,
            reports=reports,
            phrases=self.phrases,
            windows=self.windows,
            unnamed_subject=self.unnamed_subject,
            notes=(
                *self.notes,
                *(f"{quoted(n)} tells the class, so it is empty on test rows." for n in telling),
            ),
        )

    @property
    def class_counts(self) -> dict[str, dict[str, int]]:
        """Class key -> split -> number of images."""
        counts = self.images.value_counts(["label", "split"]).to_dict()
        return {
            c.key: {split: int(counts.get((c.key, split), 0)) for split in SPLITS}
            for c in self.classes
        }


def read_dataset(
    spec: DatasetSpec,
    workshop: Path,
    keep: Callable[[bytes], str],
    workers: int,
    watch: Watch,
    own: ImageDataset | None = None,
    withdrawal: Withdrawal | None = None,
    revision: str | None = None,
) -> LabelledImages:
    """Read a source, decode every image once, and split what is left.

    Args:
        spec: the source and what its columns mean.
        workshop: an empty folder for what is needed meanwhile.
        keep: keeps the bytes of images without a file of their own; returns their sha256.
        workers: threads that decode.
        watch: told how far it is.
        own: the study's own images, where the source is another dataset: its classes are theirs,
            no image is one of them, and all are test images.
        withdrawal: what is left out, as if the source had never had it.
        revision: the commit at which a dataset of the hub is read; None: as the settings say.

    Raises:
        StudyError: the source is not there or lacks a column, a class is missing, or a split
            would be empty; or another dataset has no two classes of the study, or no image that
            the study has not.
        TooManyRejected: too large a share of the rows are no images.
    """
    listing = list_images(spec, workshop, watch, revision)
    listed, stay = len(listing), dict[int, Split]()
    if withdrawal:
        listing, stay = withdrawal.leave_out(listing, spec, workers)
        spec = withdrawal.spec(spec)
    claims = read_claims(listing, spec)
    notes = [*listing.notes, *told_of_blanks(listing), *told_of_odd_classes(claims, spec)]
    if own:
        if not spec.findings:
            check_common_classes(claims["label"].tolist(), spec.labels, own.classes)
        notes += ["The data's own splits are not used."] * bool(claims["part"].notna().any())
        claims = claims.assign(part=None)
    if spec.limit is not None and spec.limit < len(listing):
        if stay:  # drawn anew, other images would come and go
            claims = claims[claims["row"].isin(list(stay))]
        else:
            claims = draw_claims(claims, spec.limit, spec.splits.seed)
        notes.append(f"{len(claims):,} of {len(listing):,} listed images were drawn.")
    window = spec.grey_range and Window(*spec.grey_range)
    with watch("checking images", len(claims)) as advance:
        verified = verify_images(
            claimed_contents(
                listing, claims, spec, own.class_keys if own and not spec.findings else ()
            ),
            root=listing.root,
            keep=keep,
            max_pixels=spec.max_pixels,
            workers=workers,
            advance=advance,
            window=window,
        )
        found = settle_ranges(list(verified), window, keep, workers)
    images, rejected = sort_out(claims, listing.names, found.found)
    notes += [*found.notes, *_told_of_frames(found.found)]
    check_rejected(rejected, len(claims), spec.max_rejected, listing.remedies)
    if own:
        images, rejected = without_study_images(images, rejected, own)
    group = connected_groups(*(codes(images[c]) for c in ("subject", "lesion", "sha256")))
    classes: tuple[ClassLabel, ...]
    must_train: tuple[ClassLabel, ...]
    if own:
        classes, how = own.classes, ["All images are test images."]
        splits: list[Split] = ["test"] * len(images)
    else:
        if spec.findings:
            classes, stratum, must_train = classes_of(spec), codes(images["stratum"]), ()
        else:
            classes = must_train = find_classes(images["label"].tolist(), listing, spec)
            order = {c.key: i for i, c in enumerate(classes)}
            stratum = np.array([order[key] for key in images["label"]], dtype=np.int64)
        kept = [stay.get(row) for row in images["row"]]
        splits, how = choose_splits(
            images["part"].tolist(), group, stratum, must_train, spec.splits, kept
        )
    images = images.assign(group=images["image_id"].to_numpy()[group], split=splits)
    unnamed = "" if listing.columns.subject else unnamed_subject(listing, images)
    beside = _beside_reports(listing)
    described = _describe(listing, images["row"].to_numpy(dtype=np.int64), beside)
    reports = _reports(listing, images)
    is_file = ~images["location"].str.startswith("shelf:") & (images["location"] != "")
    states = [name for name in images.columns if name.startswith(FINDING)]
    return LabelledImages(
        images=pd.concat([images[[*_TEXT_COLUMNS, *states]].astype("str"), described], axis=1),
        classes=classes,
        rejected=tuple(rejected),
        root=str(listing.root.resolve()) if is_file.any() else "",
        source=listing.source,
        synthetic=listing.synthetic,
        phrases=listing.columns.attributes,
        notes=(
            *notes,
            *_missing_keys(images, listing),
            *how,
            *([unnamed] if unnamed else []),
            *_left_out(listing),
            *_told_of_reports(reports, len(images), beside),
        ),
        reports=reports,
        windows={str(d): (w.black, w.white) for d, w in found.windows.items()},
        unnamed_subject=unnamed,
        withdrawn=listed - len(listing),
    )


# --- classes --------------------------------------------------------------------------------------


def find_classes(labels: list[str], listing: Listing, spec: DatasetSpec) -> tuple[ClassLabel, ...]:
    """Return the classes in the study's order, else the source's, else by number or name.

    Raises:
        StudyError: a class that the study names has no image, or there are fewer than two.
    """
    found = sorted(set(labels))
    there = ", ".join(quoted(key) for key in found) or "none"
    if absent := [key for key in spec.classes if key not in found]:
        raise StudyError(
            f"no image has the label {', '.join(quoted(key) for key in absent)}; the labels of "
            f"{listing.source} are: {there}. Correct `dataset.classes`, or raise `dataset.limit` "
            "if that left the class out."
        )
    if len(found) < 2:
        raise StudyError(
            f"at least two classes are needed; the labels of {listing.source} are: {there}. "
            "Check `dataset.label_column`."
        )
    if spec.classes:
        named = spec.classes.items()
        return tuple(ClassLabel(key=k, name=c.name, synonyms=c.synonyms) for k, c in named)
    if all(key.isdecimal() for key in found):
        found.sort(key=int)
    ranks = {key: rank for rank, key in enumerate(listing.class_names)}
    found.sort(key=lambda key: ranks.get(key, len(ranks)))
    return tuple(ClassLabel(key=key, name=listing.class_names.get(key, key)) for key in found)


# --- splits ---------------------------------------------------------------------------------------


def choose_splits(
    parts: Sequence[str | None],
    group: Int[np.ndarray, " image"],
    label: Int[np.ndarray, " image"],
    classes: tuple[ClassLabel, ...],
    spec: SplitSpec,
    kept: Sequence[Split | None] = (),
) -> tuple[list[Split], list[str]]:
    """Return the split of every image, and notes on what the data did not say.

    Splits that the data lacks are cut out of its training images in whole groups, stratified by
    class; where it gives none, all images are training images at first.

    Args:
        parts: what the data calls each image's split; `None` throughout where it does not say.
        group: images that must not be parted share a number.
        label: each image's class, its place in `classes`, or what else splits are stratified by.
        classes: those that training images must show.
        spec: the shares of the splits, and the seed.
        kept: where each image was before others were withdrawn, and stays with its group where the
            data does not say otherwise; empty: nowhere. Groups without such an image are dealt.

    Raises:
        StudyError: the data gives no training images, a split would be empty, or a class absent
            from training.
    """
    given = [split_name(part or "") for part in parts]
    missing = [split for split in _IMPORTANCE if split not in given]
    if any(given) and "train" in missing:
        raise StudyError(
            "the data gives splits, but no image is in train. Check `dataset.split_column`, or "
            "leave it out to have the images split."
        )
    split = np.array([part or "train" for part in given], dtype=object)
    to_cut = ["train", *(s for s in missing if s != "train")]
    if len(to_cut) > 1:
        stays = {int(g): s for g, s in zip(group, kept, strict=True) if s} if kept else {}
        rows = np.flatnonzero(split == "train")
        split[rows] = [stays.get(int(g), "train") for g in group[rows]]
        rows = rows[[int(g) not in stays for g in group[rows]]]
        if len(rows):
            shares = np.array([getattr(spec, s) for s in to_cut])
            part = deal_groups(group[rows], label[rows], shares / shares.sum(), spec.seed)
            split[rows] = np.array(to_cut, dtype=object)[part]
    notes = _check_splits(split, group, label, classes)
    if any(given) and missing:
        notes.append(f"The data gives no {' and no '.join(missing)} split: cut out of train.")
    if not any(given):
        notes += _uneven(split, spec)
    return split.tolist(), notes


def _uneven(split: np.ndarray, spec: SplitSpec) -> list[str]:
    """Return a note for each split whose share is far from the wanted one."""
    counts = {name: int((split == name).sum()) for name in SPLITS}
    return [
        f"The {name} split holds {count / len(split):.0%} of the images instead of "
        f"{getattr(spec, name):.0%}, since groups are never parted."
        for name, count in counts.items()
        if abs(count - getattr(spec, name) * len(split)) > max(_FAR * len(split), 2)
    ]


def _check_splits(
    split: np.ndarray,
    group: Int[np.ndarray, " image"],
    label: Int[np.ndarray, " image"],
    classes: tuple[ClassLabel, ...],
) -> list[str]:
    """Return a note for each class that a split lacks; refuse what cannot be trained on."""
    notes = []
    for name in SPLITS:
        rows = split == name
        if not rows.any():
            sizes = np.unique(group, return_counts=True)[1]
            raise StudyError(
                f"the {name} split would be empty: {len(group):,} images are {len(sizes):,} "
                f"groups, the largest of {sizes.max():,}. Images that share a subject, a lesion or "
                "their bytes are one group. Check `subject_column` and `lesion_column`: ids that "
                "start anew for each subject link strangers. Or give more images."
            )
        present = set(label[rows].tolist())
        absent = [c.name for i, c in enumerate(classes) if i not in present]
        if absent and name == "train":
            raise StudyError(
                f"no training image shows {', '.join(absent)}. Correct the splits of the data, "
                "or leave `split_column` out to have the images split."
            )
        if absent:
            notes.append(f"The {name} split has no image of {', '.join(absent)}.")
    return notes


# --- columns --------------------------------------------------------------------------------------


def _describe(
    listing: Listing, rows: Int[np.ndarray, " image"], left_out: Sequence[str]
) -> pd.DataFrame:
    """Return the metadata and the attributes of some rows, under their prefixes."""
    names = [name for name in _metadata(listing) if name not in left_out]
    truths = list(listing.columns.attributes)
    table = listing.table.select([*names, *truths]).take(pa.array(rows))
    metadata = table.select(names).to_pandas().add_prefix(METADATA)
    attributes = {f"{ATTRIBUTE}{name}": _truth(table, name) for name in truths}
    return pd.concat([metadata, pd.DataFrame(attributes, index=metadata.index)], axis=1)


def _metadata(listing: Listing) -> list[str]:
    """Return the columns of single values that the study names and gives no other meaning."""
    kept = {*listing.columns.metadata} - {*listing.columns.names}
    fields = (f for f in listing.table.schema if f.name in kept)
    return [field.name for field in fields if not _is_bulky(field.type)]


def _is_bulky(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary)
    return any(is_kind(kind) for is_kind in kinds)


def _truth(table: pa.Table, name: str) -> pd.Series[Any]:
    """Return a true/false column; an unknown attribute is not an absent one and stays missing.

    Raises:
        StudyError: a value is neither true nor false nor missing.
    """
    values = text(table, name)
    strange = [v for v in values if v is not None and v.lower() not in _TRUTHS]
    if strange:
        examples = ", ".join(quoted(v) for v in sorted(set(strange))[:5])
        raise StudyError(
            f"the attribute column {quoted(name)} has {len(strange):,} values that are neither "
            f"true nor false, such as {examples}. It must hold true/false, yes/no, 1/0 or nothing: "
            "correct it, or leave it out of `dataset.attributes`."
        )
    truths = [None if v is None else _TRUTHS[v.lower()] for v in values]
    return pd.Series(truths, dtype="boolean" if None in truths else "bool")


def _reports(listing: Listing, images: pd.DataFrame) -> Reports | None:
    """Return the reports of the images that have one; None where the study names no column."""
    column = listing.columns.report
    if column is None:
        return None
    rows = pa.array(images["row"].to_numpy(dtype=np.int64))
    texts = text(listing.table.select([column]).take(rows), column)
    found = zip(images["image_id"], texts, strict=True)
    return Reports(texts={i: t for i, t in found if t is not None and t.strip()})


def _beside_reports(listing: Listing) -> list[str]:
    """Return the columns that as metadata would publish what the reports are kept apart for.

    Those of free text, which may be the reports in other words; and those that share a passage
    with the report of their row, such as its impression.
    """
    column = listing.columns.report
    if column is None:
        return []
    reports = [letters(report or "") for report in text(listing.table, column)]
    found = []
    for name in _metadata(listing):
        if _is_text(listing.table.schema.field(name).type):
            values = [letters(value or "") for value in text(listing.table, name)]
            if _is_free_text(values) or any(map(_share_a_passage, values, reports)):
                found.append(name)
    return found


def _is_free_text(values: Sequence[str]) -> bool:
    different = {value for value in values if len(value) >= PASSAGE}
    return len(different) > _FREE_TEXT * sum(map(bool, values))


def _share_a_passage(one: str, other: str) -> bool:
    """Return whether `PASSAGE` characters of one text stand in the other as well."""
    return any(one[i : i + PASSAGE] in other for i in range(len(one) - PASSAGE + 1))


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _tells_the_class(values: pd.Series[Any], labels: pd.Series[str]) -> bool:
    """Return whether a column gives a class away: the label renamed, finer, or one of its kinds.

    It does where nearly all images of some class have values that hardly any other class has.
    Values of few images say nothing: in a column of ids each goes with one class.
    """
    table = pd.crosstab(values.astype("str").fillna(""), labels)
    images = table.sum(axis=1)
    of_one_class = (table.max(axis=1) >= _NEARLY_ALL * images) & (images >= _IMAGES_PER_VALUE)
    pure = table[of_one_class]
    own = pure.where(pure.eq(pure.max(axis=1), axis=0), 0)  # each value counts for its own class
    return bool((own.sum() >= _NEARLY_ALL * table.sum()).any())


# --- notes ----------------------------------------------------------------------------------------


def _missing_keys(images: pd.DataFrame, listing: Listing) -> list[str]:
    """Say how many images have no subject or lesion, where the others have one."""
    counts = {name: int(images[name].isna().sum()) for name in ("subject", "lesion")}
    return [
        f"{count:,} images have no {name}: each was taken for one of its own."
        for name, count in counts.items()
        if count and getattr(listing.columns, name)
    ]


def _told_of_frames(found: Sequence[Verified | Refusal]) -> list[str]:
    """Say of how many images only the first frame is used."""
    count = sum(isinstance(what, Verified) and what.frames > 1 for what in found)
    return [f"{count:,} images have several frames: the first is used."] if count else []


def _told_of_reports(reports: Reports | None, count: int, beside: Sequence[str]) -> list[str]:
    """Say how many images have a report, and which columns were left out beside them."""
    if reports is None:
        return []
    there = f"{len(reports.texts):,} of {count:,} images have a report, kept apart from all this."
    names = ", ".join(quoted(name) for name in beside)
    left_out = f"Columns of free text, or that repeat reports, were left out: {names}."
    return [there, left_out] if names else [there]


def _left_out(listing: Listing) -> list[str]:
    """Say which columns became no metadata."""
    meant = {*listing.columns.names}
    bulky = [f.name for f in listing.table.schema if _is_bulky(f.type) and f.name not in meant]
    named = {*listing.columns.metadata}
    bulky = [name for name in bulky if name in named]
    unnamed = [n for n in listing.table.column_names if n not in meant | named]
    told = {
        "Columns of lists, bytes or pictures were left out": bulky,
        "Columns that the study does not name were left out": unnamed,
    }
    return [
        f"{what}: {', '.join(map(quoted, names[:_LISTED]))}{', ...' * (len(names) > _LISTED)}."
        for what, names in told.items()
        if names
    ]
