"""The image dataset: where it comes from, how it is split, and its rows."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int
from pydantic import BaseModel, Field

from curette.schemas.artifact import Artifact, JsonArtifact, Ref, write_json
from curette.schemas.attributes import AttributePhrases

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
METADATA = "meta."
"""What the names of metadata columns start with in tables of images."""
ATTRIBUTE = "attribute."
"""The same of columns of ground truth."""
ANNOTATION = "annotation."
"""The same of what a language model reads in reports; in published tables alone."""


class ClassLabel(BaseModel, frozen=True):
    """One class of the dataset; its place in `ImageDataset.classes` is its integer label."""

    key: str = Field(description="the label as it stands in the data")
    name: str
    synonyms: tuple[str, ...] = ()
    beside: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="names of other findings, where the class is the absence of one: lists of "
        "their signs are lists of what is seen in its place",
    )

    @property
    def plain_names(self) -> frozenset[str]:
        """Return the `plain_name` of everything the class is called."""
        return frozenset(plain_name(name) for name in (self.key, self.name, *self.synonyms))


def plain_name(name: str) -> str:
    """Return the form in which two names of a class are the same.

    Case, and whether words are parted by blanks, dashes or underscores, do not matter.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(re.split(r"[\s_-]+", folded)).strip()


_TELLING = 3
"""Characters of an id that do not stand in another id by chance."""
_MOSTLY = 0.5
"""Share of images from which on shorter ids that stand in others do not do so by chance."""


def hold_ids(names: Sequence[str | None], ids: Sequence[str | None]) -> list[bool]:
    """Return which names, such as image ids, hold an id of their row, such as the patient's.

    An id of one or two characters counts where most rows hold theirs between marks, as `07-left`
    holds `7`.
    """
    pairs = [(name or "", id_ or "") for name, id_ in zip(names, ids, strict=True)]
    held = [len(id_) >= _TELLING and id_.casefold() in name.casefold() for name, id_ in pairs]
    between = [
        bool(id_)
        and (id_.lstrip("0") or "0")
        in {
            part.lstrip("0") or "0"
            for part in re.split(r"[\W_]+|(?<=[^\W\d_])(?=\d)", name)
            if part
        }
        for name, id_ in pairs
    ]
    if sum(between) > _MOSTLY * len(pairs):
        return [one or other for one, other in zip(held, between, strict=True)]
    return held


RejectionReason = Literal[
    "missing-file",
    "unreadable-file",
    "unlisted-file",
    "empty-file",
    "broken-image",
    "too-many-pixels",
    "too-narrow",
    "several-pages",
    "unclear-range",
    "broken-mask",
    "outside-folder",
    "missing-label",
    "unknown-label",
    "unclear-finding",
    "other-class",
    "study-image",
    "unknown-split",
    "missing-id",
    "duplicate-id",
    "conflicting-labels",
    "withdrawn",
]


class Rejection(BaseModel, frozen=True):
    """One row or file that did not become an image, and why."""

    row: str = Field(description="what it was: an id, a path or a row number")
    reason: RejectionReason
    detail: str


class TestLabels(JsonArtifact, frozen=True):
    """The test split's labels, kept apart so that only the last evaluation can read them."""

    __test__: ClassVar[bool] = False  # not a test class, whatever pytest thinks of the name
    kind: ClassVar[str] = "test-labels"

    labels: dict[str, str] = Field(description="image id -> class key")


class Reports(JsonArtifact, frozen=True, hide_input_in_errors=True):
    """What somebody wrote about the images: patients' text, kept apart from all that is published.

    Only the stage that has them annotated loads it.
    """

    kind: ClassVar[str] = "reports"

    texts: dict[str, str] = Field(
        repr=False, description="image id -> report; an image without one is not here"
    )


TruthSource = Literal["column", "reports", "images"]
"""Who says whether a concept is there: a column of the data, or a language model's reading of
reports, which is no ground truth by itself."""


def is_column(source: TruthSource) -> bool:
    """Return whether it is the usual one, which goes without saying."""
    return source == "column"


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known to be visible; where it is not known, `present` is False and says nothing."""

    present: Bool[np.ndarray, "*shape"]
    known: Bool[np.ndarray, "*shape"]

    @classmethod
    def of_column(cls, column: "pd.Series[Any]") -> Self:
        """Read a column of true, false and missing values."""
        values = column.astype("boolean")
        return cls(values.fillna(False).to_numpy(dtype=bool), values.notna().to_numpy(dtype=bool))

    def __getitem__(self, rows: Int[np.ndarray, " row"]) -> Self:
        return type(self)(self.present[rows], self.known[rows])


REQUIRED_COLUMNS = ("image_id", "sha256", "location", "split", "label", "group")


@dataclass(frozen=True)
class ImageDataset(Artifact):
    """The images of a study, one row each. **Labels of the test split are not here.**

    `images` has the columns

    - `image_id`: unique text; rows are sorted by it.
    - `sha256`: of the image's bytes (of the vector's, where there is no image).
    - `location`: where the bytes are: a path below `root`, `shelf:<sha256>` for the store's own
      image shelf, or `""` where only vectors are known.
    - `split`: train, validation or test.
    - `label`: class key; **empty (`None`) on every test row**, see `TestLabels`.
    - `subject`, `lesion`: text or `None`, as the study names them.
    - `group`: images that must never be parted (same subject, lesion or bytes) share a value,
      the first of their ids; intervals resample groups.
    - `mask_location`: like `location`, of a lesion mask; `""` where there is none.
    - `source_id`: what the data calls the image, where `image_id` is another name for it; it is
      never published.
    - every metadata column that the study names, its type kept, prefixed with `meta.`; where such a
      column only renames the classes it is empty on test rows too;
    - every attribute column (bool, missing where unknown), prefixed with `attribute.`.
    """

    kind: ClassVar[str] = "image-dataset"

    images: pd.DataFrame
    classes: tuple[ClassLabel, ...]
    rejected: tuple[Rejection, ...]
    root: str
    """The folder that `location` starts at; empty where all images are on the shelf."""
    source: str
    """One line about where the images come from, for cards and reports."""
    synthetic: bool
    """True where the project drew the images itself; said wherever they appear."""
    class_counts: dict[str, dict[str, int]]
    """Class key -> split -> number of images; counted when the labels were set apart."""
    test_labels: Ref[TestLabels]
    reports: Ref[Reports] | None = None
    """Nothing where the study names no column of reports."""
    notes: tuple[str, ...] = ()
    """What was decided on the reader's behalf, one sentence each, for cards and reports."""
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Depth of images of more than 8 bits -> the values that were taken for black and white."""
    unnamed_subject: str = ""
    """What in the data looks like a patient's id that the study does not name, where it does."""
    phrases: Mapping[str, AttributePhrases] = field(default_factory=dict)
    """Attribute -> the statements that it decides; one that is not here decides its own name."""

    def __post_init__(self) -> None:
        """Refuse a table that breaks the columns' promises."""
        missing = [c for c in REQUIRED_COLUMNS if c not in self.images.columns]
        if missing:
            raise ValueError(f"the image table lacks the columns {', '.join(missing)}")
        if not self.images["image_id"].is_unique:
            raise ValueError("image ids must be unique")
        held_out = self.images["split"] == "test"
        if bool(self.images.loc[held_out, "label"].notna().any()):
            raise ValueError("the image table holds labels of the test split")
        if strange := sorted(set(self.images["split"]) - set(SPLITS)):
            raise ValueError(f"unknown splits {strange}; the splits are {', '.join(SPLITS)}")
        known = self.images.loc[~held_out, "label"].isin(self.class_keys)
        if not bool(known.all()):
            raise ValueError("an image outside the test split has no class, or an unknown one")

    def __len__(self) -> int:
        return len(self.images)

    def parts(self) -> tuple[Ref[Artifact], ...]:
        """Return the test labels, and the reports where there are any."""
        return (self.test_labels,) if self.reports is None else (self.test_labels, self.reports)

    @property
    def source_ids(self) -> tuple[str, ...]:
        """What the data calls each image."""
        column = "source_id" if "source_id" in self.images else "image_id"
        return tuple(self.images[column])

    def tell_patients(self, names: Sequence[str]) -> list[bool]:
        """Return which names of images, row by row, hold the id of their subject or lesion."""
        columns = [] if self.synthetic else [c for c in ("subject", "lesion") if c in self.images]
        named = ([i if isinstance(i, str) else None for i in self.images[c]] for c in columns)
        held = [hold_ids(names, owners) for owners in named]
        return [any(rows) for rows in zip([False] * len(names), *held, strict=True)]

    def id_of(self, image: str) -> str:
        """Return the id of an image by that or by what the data calls it; else the name itself."""
        named = dict(zip(self.source_ids, self.images["image_id"], strict=True))
        return named.get(image, image)

    @property
    def class_keys(self) -> tuple[str, ...]:
        """The class keys in the order of their integer labels."""
        return tuple(c.key for c in self.classes)

    def rows(self, split: Split) -> Int[np.ndarray, " row"]:
        """Return the row numbers of one split."""
        return np.flatnonzero((self.images["split"] == split).to_numpy())

    def masked_rows(self, split: Split) -> Int[np.ndarray, " row"]:
        """Return the row numbers of a split's images that have a lesion mask."""
        rows = self.rows(split)
        if "mask_location" not in self.images:
            return rows[:0]
        return rows[(self.images["mask_location"].iloc[rows].fillna("") != "").to_numpy()]

    def labels(self, split: Literal["train", "validation"]) -> Int[np.ndarray, " row"]:
        """Return the integer labels of `rows(split)`; the test split's are not here."""
        order = {key: i for i, key in enumerate(self.class_keys)}
        keys = self.images["label"].to_numpy()[self.rows(split)]
        return np.array([order[k] for k in keys], dtype=np.int64)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the ground-truth attributes, without their prefix."""
        names = (c for c in self.images.columns if c.startswith(ATTRIBUTE))
        return tuple(name.removeprefix(ATTRIBUTE) for name in names)

    def attribute(self, name: str) -> Truth:
        """Return one ground-truth attribute of every image."""
        return Truth.of_column(self.images[f"{ATTRIBUTE}{name}"])

    @property
    def attribute_phrases(self) -> dict[str, AttributePhrases]:
        """Return the statements that each attribute decides."""
        return {
            name: self.phrases.get(name, AttributePhrases(claimed_by=(name,)))
            for name in self.attributes
        }

    def write(self, folder: Path) -> None:
        """Write `images.parquet`, `rejected.json` and `dataset.json`."""
        self.images.to_parquet(folder / "images.parquet", index=False)
        write_json(folder / "rejected.json", [r.model_dump() for r in self.rejected])
        write_json(
            folder / "dataset.json",
            {
                "classes": [c.model_dump() for c in self.classes],
                "root": self.root,
                "source": self.source,
                "synthetic": self.synthetic,
                "class_counts": self.class_counts,
                "test_labels": self.test_labels.digest,
                "notes": list(self.notes),
                "phrases": {k: v.model_dump() for k, v in self.phrases.items()},
                **({"reports": self.reports.digest} if self.reports else {}),
                **({"windows": dict(self.windows)} if self.windows else {}),
                **({"unnamed_subject": self.unnamed_subject} if self.unnamed_subject else {}),
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the table back; every promise is checked again."""
        about = _DatasetFile.model_validate_json((folder / "dataset.json").read_bytes())
        rejected = _Rejections.model_validate_json(
            b'{"rejected":' + (folder / "rejected.json").read_bytes() + b"}"
        )
        dataset = cls(
            images=pd.read_parquet(folder / "images.parquet", use_threads=False),
            classes=about.classes,
            rejected=rejected.rejected,
            root=about.root,
            source=about.source,
            synthetic=about.synthetic,
            class_counts=about.class_counts,
            test_labels=Ref(TestLabels.kind, about.test_labels),
            reports=Ref(Reports.kind, about.reports) if about.reports else None,
            notes=about.notes,
            phrases=about.phrases,
            windows=about.windows,
            unnamed_subject=about.unnamed_subject,
        )
        # Decoding and checks took twice the table; what other threads took they would keep.
        pa.default_memory_pool().release_unused()
        return dataset


class _DatasetFile(BaseModel, frozen=True):
    classes: tuple[ClassLabel, ...]
    root: str
    source: str
    synthetic: bool
    class_counts: dict[str, dict[str, int]]
    test_labels: str
    reports: str = ""
    notes: tuple[str, ...]
    phrases: dict[str, AttributePhrases] = {}
    windows: dict[str, tuple[float, float]] = {}
    unnamed_subject: str = ""


class _Rejections(BaseModel, frozen=True):
    rejected: tuple[Rejection, ...]
