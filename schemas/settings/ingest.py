"""Settings of the stage `ingest`: where images come from, and how they are split."""

from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from curette.schemas.attributes import AttributePhrases
from curette.schemas.taxonomy import Taxonomy, levels_of


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
    links_to: Path | None = Field(
        default=None,
        exclude_if=lambda folder: folder is None,
        description="folder that links in it may lead to, such as DVC's cache or git-annex's "
        "objects; empty: none that leads out of it is followed",
    )


class TableSource(BaseModel, frozen=True, extra="forbid"):
    """A CSV or Parquet table with one row an image and a column that names the image file."""

    kind: Literal["table"]
    path: Path = Field(description="a .csv, .tsv, .jsonl, .parquet or .xlsx file")
    image_column: str = Field(description="column with the image's path or file name")
    image_folder: Path | None = Field(
        default=None, description="folder the paths start at; empty: the table's own folder"
    )
    image_suffix: str = Field(
        default="", description="added to every path, such as .jpg where the column holds ids"
    )
    links_to: Path | None = Field(
        default=None,
        exclude_if=lambda folder: folder is None,
        description="folder that links among the images may lead to, such as DVC's cache; empty: "
        "none that leads out of `image_folder` is followed",
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
        description="hub id such as user/dataset, or a local folder, which goes before the hub"
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


_ORDER = 3
"""Classes from which on their order says something."""

Unclear = Literal["left_out", "absent"]
"""What becomes of an image where nobody says whether it shows a finding."""


class FindingLabels(BaseModel, frozen=True, extra="forbid"):
    """How the data says which of several findings an image shows."""

    separator: str = Field(
        default="",
        description="what parts findings in the cells of `label_column`, such as `|`; empty: each "
        "finding is a column of its own, with 1 and 0, yes and no, or true and false",
    )
    others: tuple[str, ...] = Field(
        default=(),
        description="with a separator: what cells name besides the findings, such as `No Finding`",
    )
    blank: Unclear = Field(
        default="left_out",
        description="an empty cell: the image is left out of this finding's study, or counts as "
        "one without it",
    )
    uncertain: Unclear = Field(
        default="left_out", description="the same of -1, which labellers of reports write"
    )


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
    label_columns: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda columns: not columns,
        description="where each class has a column of its own instead, with 1 in the rows of its "
        "images and 0 in all others: these columns, whose names are the labels",
    )
    classes: dict[str, ClassSpec] = Field(
        default_factory=dict,
        description="label in the data -> its name and synonyms; empty: every label, as it stands",
    )
    ordered: bool = Field(
        default=False,
        exclude_if=lambda ordered: not ordered,
        description="whether `classes` stand in their order, such as grades: then it is measured "
        "too how far off decisions are",
    )
    taxonomy: Taxonomy = Field(
        default_factory=dict,
        exclude_if=lambda tree: not tree,
        description="classes in a tree: branch -> its members, class keys or other branches. Then "
        "heads are measured at each level too, and a mistake within a branch is told from one "
        "across; a class in no branch is a branch by itself",
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        exclude_if=lambda labels: not labels,
        description="label in the data -> the class key it stands for; several may stand for one. "
        "A label that is not here is a class key as it is",
    )
    findings: dict[str, ClassSpec] = Field(
        default_factory=dict,
        exclude_if=lambda findings: not findings,
        description="where an image may show several at once: finding in the data -> its name and "
        "synonyms. Each is a study of its own, finding against no finding, on the same images",
    )
    finding_labels: FindingLabels = Field(
        default_factory=FindingLabels,
        exclude_if=lambda labels: labels == FindingLabels(),
        description="how the data says which of the findings an image shows",
    )
    finding: str | None = Field(
        default=None,
        exclude_if=lambda finding: finding is None,
        description="which of the findings the study is of; left out, a run takes each in turn",
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
    metadata: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda columns: not columns,
        description="other columns to keep and publish, such as age and sex; whatever is not named "
        "here, or elsewhere in the study, is left out. Never what identifies a patient",
    )
    dicom_columns: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda keywords: not keywords,
        description="keywords of DICOM headers that become columns of these names, such as "
        "ViewPosition or PatientID: published as metadata, unless they are named as the subject's "
        "column or the like; nothing else of a header is kept. Never what identifies a patient",
    )
    grey_range: tuple[float, float] | None = Field(
        default=None,
        exclude_if=lambda window: window is None,
        description="values shown black and white in images of more than 8 bits, such as "
        "[-160, 240] in CT; empty: found where that is possible, and in DICOM files as these say",
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

    @field_validator("grey_range")
    @classmethod
    def _white_is_not_black(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not (isfinite(window[0]) and isfinite(window[1])):
            raise ValueError("two finite numbers are needed")
        if window is not None and window[0] == window[1]:
            raise ValueError("black and white must differ")
        return window

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

    @field_validator("classes", "findings", mode="before")
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
    def _each_class_has_a_column(self) -> Self:
        columns = self.label_columns
        if not columns:
            return self
        if len({*columns}) < len(columns) or len(columns) < 2:
            raise ValueError("label_columns: name at least two different columns, one a class")
        if self.findings or self.label_column != "label":
            raise ValueError(
                "label_columns says what images show, and so does "
                f"{'findings' if self.findings else 'label_column'}; leave one of them out"
            )
        single = (self.id_column, self.subject_column, self.lesion_column, self.split_column)
        others = {*single, self.report_column, *self.attributes, *self.metadata}
        if taken := sorted({*columns} & {name for name in others if name}):
            raise ValueError(
                f"{', '.join(taken)} is among `label_columns` and something else too; labels are "
                "never published of test images, so leave it out there"
            )
        return self

    @property
    def finding_columns(self) -> tuple[str, ...]:
        """Columns of findings, where each has one."""
        return () if self.finding_labels.separator else tuple(self.findings)

    @model_validator(mode="after")
    def _findings_are_the_only_labels(self) -> Self:
        labels, known = self.finding_labels, ", ".join(self.findings) or "none"
        if self.finding is not None and self.finding not in self.findings:
            raise ValueError(f"finding {self.finding!r} is none of `findings` ({known})")
        if labels != FindingLabels() and not self.findings:
            raise ValueError("finding_labels says how findings are told; name them in `findings`")
        if not self.findings:
            return self
        if self.classes or self.labels:
            raise ValueError(
                "where there are `findings` each is a class against its absence; leave `classes` "
                "and `labels` out, or `findings`"
            )
        if labels.others and not labels.separator:
            raise ValueError(
                "finding_labels.others is of cells that name several findings; name what parts "
                "them in finding_labels.separator, or leave `others` out"
            )
        if twice := sorted({*labels.others} & {*self.findings}):
            raise ValueError(f"{', '.join(twice)} is both a finding and one of `others`")
        if taken := sorted({*self.finding_columns} & {*self.attributes, *self.metadata}):
            raise ValueError(
                f"{', '.join(taken)} is a finding and among `attributes` or `metadata` too, which "
                "are published of test images; leave it out there"
            )
        return self

    @model_validator(mode="after")
    def _order_is_told(self) -> Self:
        if self.ordered and len(self.classes) < _ORDER:
            raise ValueError(
                f"ordered: name the classes in their order under `classes`, at least {_ORDER}; of "
                "two each mistake is as far off as any other"
            )
        return self

    @model_validator(mode="after")
    def _taxonomy_is_of_the_classes(self) -> Self:
        if self.taxonomy and self.findings:
            raise ValueError("taxonomy: a finding and its absence make no tree; leave it out")
        if self.taxonomy and self.classes:  # otherwise they are known once images are read
            try:
                levels_of(self.taxonomy, tuple(self.classes))
            except ValueError as error:
                raise ValueError(f"taxonomy: {error}") from None
        return self

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
