"""The image dataset: where it comes from, how it is split, and its rows."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int
from pydantic import BaseModel, Field, field_validator, model_validator

from curette.schemas.artifact import Artifact, JsonArtifact, Ref, write_json

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
METADATA = "meta."
"""What the names of metadata columns start with in tables of images."""
ATTRIBUTE = "attribute."
"""The same of columns of ground truth."""
ANNOTATION = "annotation."
"""The same of what a language model reads in reports; in published tables alone."""


# --- the spec -------------------------------------------------------------------------------


class SyntheticSource(BaseModel, frozen=True, extra="forbid"):
    """The dermoscopy-like dataset that the project draws itself."""

    kind: Literal["synthetic"] = "synthetic"
    images: int = Field(default=2000, ge=50, le=100_000, description="how many images to draw")
    seed: int = Field(default=0, ge=0, description="another seed gives other subjects")
    light: Literal["flash", "lamp"] = Field(
        default="flash",
        exclude_if=lambda light: light == "flash",
        description="lamp: dimmer and yellower, as if photographed in another place; it shows what "
        "another camera does to heads, and no more",
    )


class FolderSource(BaseModel, frozen=True, extra="forbid"):
    """A folder of images in the imagefolder layout: one folder a class, or a metadata.csv."""

    kind: Literal["folder"]
    path: Path = Field(description="the folder; relative paths start at the study file")


class TableSource(BaseModel, frozen=True, extra="forbid"):
    """A CSV or Parquet table with one row an image and a column that names the image file."""

    kind: Literal["table"]
    path: Path = Field(description="a .csv or .parquet file")
    image_column: str = Field(description="column with the image's path or file name")
    image_folder: Path | None = Field(
        default=None, description="folder the paths start at; empty: the table's own folder"
    )
    image_suffix: str = Field(
        default="", description="added to every path, such as .jpg where the column holds ids"
    )

    @model_validator(mode="before")
    @classmethod
    def _beside_the_table(cls, value: Any) -> Any:
        """Name the table's own folder, so that the images in it count in the stage's key."""
        if isinstance(value, dict) and "path" in value and value.get("image_folder") is None:
            return value | {"image_folder": Path(str(value["path"])).parent}
        return value


class HubSource(BaseModel, frozen=True, extra="forbid"):
    """A dataset in the layout of the Hugging Face hub: its id there, or a local folder."""

    kind: Literal["hub"]
    path: Path | str = Field(
        description="hub id such as user/dataset, or a local folder that starts with / or ./"
    )
    config: str | None = Field(default=None, description="name of the dataset's configuration")
    revision: str | None = Field(default=None, description="git revision: pin it to be repeatable")
    image_column: str = Field(default="image", description="column with the image")

    @field_validator("path", mode="plain", json_schema_input_type=str)
    @classmethod
    def _folders_are_paths(cls, value: object) -> Path | str:
        """Tell folders from hub ids, so that a folder's content counts in the stage's key."""
        if not isinstance(value, str | Path):
            raise ValueError("a hub id or a folder is needed")
        return Path(value) if str(value).startswith(("/", "./", "../")) else value


class ArchiveSource(BaseModel, frozen=True, extra="forbid"):
    """An .npz archive in the MedMNIST layout: {train,val,test}_images and ..._labels."""

    kind: Literal["npz"]
    path: Path = Field(description="the .npz file")
    class_names: tuple[str, ...] = Field(
        default=(), description="names of the labels 0, 1, ...; empty: the numbers themselves"
    )


class VectorSource(BaseModel, frozen=True, extra="forbid"):
    """An .npz of ready-made image vectors: image_ids, labels, class_names, image_embeddings.

    Images themselves are optional (for the report's thumbnails); `concept_names` and
    `concept_labels`, where present, become attribute columns.
    """

    kind: Literal["vectors"]
    path: Path = Field(description="the .npz file; the encoder must be `precomputed` on the same")
    image_folder: Path | None = Field(default=None, description="folder with <image_id><suffix>")
    image_suffix: str = Field(default=".jpg", description="ending of the image files")


Source = Annotated[
    SyntheticSource | FolderSource | TableSource | HubSource | ArchiveSource | VectorSource,
    Field(discriminator="kind"),
]


class ClassSpec(BaseModel, frozen=True, extra="forbid"):
    """One class as people call it."""

    name: str = Field(min_length=1, description="the name a clinician reads and an LLM is asked")
    synonyms: tuple[str, ...] = Field(
        default=(), description="other names and abbreviations that would give the class away"
    )


class AttributePhrases(BaseModel, frozen=True, extra="forbid"):
    """The statements that a column of ground truth decides: all of them, and no other column's."""

    claimed_by: tuple[str, ...] = Field(default=(), description="true where the column is")
    denied_by: tuple[str, ...] = Field(default=(), description="true where the column is not")


class SplitSpec(BaseModel, frozen=True, extra="forbid"):
    """How images are split where the data does not say.

    Stratified by label; images of one subject, one lesion or equal bytes stay together.
    """

    train: float = Field(default=0.6, gt=0, lt=1, description="share of the images")
    validation: float = Field(default=0.2, gt=0, lt=1, description="share of the images")
    test: float = Field(default=0.2, gt=0, lt=1, description="share of the images")
    seed: int = Field(default=0, ge=0, description="another seed gives another split")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        return self


class DatasetSpec(BaseModel, frozen=True, extra="forbid"):
    """A labelled image dataset: where it is, which columns mean what, how it is split."""

    source: Source = Field(description="where the images come from")
    label_column: str = Field(default="label", description="column with the class of an image")
    classes: dict[str, ClassSpec] = Field(
        default_factory=dict,
        description="label in the data -> its name and synonyms; empty: every label, as it stands",
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        exclude_if=lambda labels: not labels,
        description="label in the data -> the class key it stands for; several may stand for one. "
        "A label that is not here is a class key as it is",
    )
    id_column: str | None = Field(default=None, description="column with a unique image id")
    subject_column: str | None = Field(default=None, description="column with the patient")
    lesion_column: str | None = Field(default=None, description="column with the lesion")
    split_column: str | None = Field(
        default=None, description="column that says train, validation or test; empty: we split"
    )
    attributes: dict[str, AttributePhrases] = Field(
        default_factory=dict,
        description="true/false columns with ground truth about what is visible, empty where "
        "nobody knows -> the statements that claim the column, or {claimed_by: [..], denied_by: "
        "[..]}; a plain list of columns: each is claimed by its own name",
    )
    report_column: str | None = Field(
        default=None,
        exclude_if=lambda column: column is None,
        description="column with the free text that somebody wrote about the image; it is set "
        "apart and never published",
    )
    splits: SplitSpec = Field(default_factory=SplitSpec, description="used where none are given")
    max_rejected: float = Field(
        default=0.01, ge=0, le=1, description="a larger share of rejected images stops the run"
    )
    max_pixels: int = Field(
        default=100_000_000,
        gt=0,
        le=178_956_970,
        description="a larger image is a decompression bomb; at most what Pillow ever opens",
    )
    limit: int | None = Field(
        default=None,
        gt=0,
        description="use only about so many images: whole groups, drawn by the split's seed",
    )

    @field_validator("attributes", mode="before")
    @classmethod
    def _phrases_alone(cls, value: object) -> object:
        """Let `[veil]` and `veil: [blue-white veil]` stand for what they plainly mean."""
        if isinstance(value, list | tuple):
            value = {str(column): (str(column),) for column in value}
        if not isinstance(value, dict):
            return value
        return {
            str(k): {"claimed_by": v} if isinstance(v, list | tuple) else v
            for k, v in value.items()
        }

    @field_validator("classes", mode="before")
    @classmethod
    def _names_alone(cls, value: object) -> object:
        """Let `mel: melanoma` stand for `mel: {name: melanoma}`."""
        if not isinstance(value, dict):
            return value
        _refuse_truths(value)
        return {str(k): {"name": v} if isinstance(v, str) else v for k, v in value.items()}

    @field_validator("labels", mode="before")
    @classmethod
    def _numbers_are_labels(cls, value: object) -> object:
        """Let `0: nv` stand for `"0": nv`."""
        if not isinstance(value, dict):
            return value
        _refuse_truths([*value, *value.values()])
        return {str(k): str(v) if isinstance(v, int) else v for k, v in value.items()}

    @model_validator(mode="after")
    def _reports_are_nothing_else(self) -> Self:
        """Refuse a column of reports that would be published under another meaning."""
        others = {
            "label_column": self.label_column,
            "id_column": self.id_column,
            "subject_column": self.subject_column,
            "lesion_column": self.lesion_column,
            "split_column": self.split_column,
            "source.image_column": getattr(self.source, "image_column", None),
        }
        taken = [key for key, column in others.items() if column == self.report_column]
        if self.report_column is not None and (taken or self.report_column in self.attributes):
            raise ValueError(
                f"report_column is also {', '.join(taken) or 'among `attributes`'}: reports are "
                "kept out of everything that is published, and that is not. Name another column"
            )
        return self


def _refuse_truths(labels: Iterable[object]) -> None:
    if any(isinstance(label, bool) for label in labels):
        raise ValueError("quote yes, no, on and off: YAML reads them as true and false")


# --- the artifacts ---------------------------------------------------------------------------


class ClassLabel(BaseModel, frozen=True):
    """One class of the dataset; its place in `ImageDataset.classes` is its integer label."""

    key: str = Field(description="the label as it stands in the data")
    name: str
    synonyms: tuple[str, ...] = ()

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


RejectionReason = Literal[
    "missing-file",
    "unreadable-file",
    "unlisted-file",
    "empty-file",
    "broken-image",
    "too-many-pixels",
    "outside-folder",
    "missing-label",
    "unknown-label",
    "other-class",
    "study-image",
    "unknown-split",
    "missing-id",
    "duplicate-id",
    "conflicting-labels",
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


TruthSource = Literal["column", "reports"]
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
    - every metadata column of the source, its type kept, prefixed with `meta.`; where such a
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


class _Rejections(BaseModel, frozen=True):
    rejected: tuple[Rejection, ...]
