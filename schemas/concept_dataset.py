"""The published concept dataset: a Hugging Face `DatasetDict` on disk, complete in itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int
from pydantic import BaseModel, Field

from schemas.artifact import Artifact, Ref, write_json
from schemas.candidates import Candidate
from schemas.concepts import Concept
from schemas.embeddings import EncoderIdentity
from schemas.images import SPLITS, ClassLabel, ImageDataset, Split, TestLabels
from schemas.screened import Drop


class PublishSpec(BaseModel, frozen=True, extra="forbid"):
    """What the dataset card says that only its owner knows."""

    title: str = Field(default="", description="heading of the card; empty: the study's name")
    licence: str = Field(
        default="other", description="licence identifier of the hub, such as cc-by-nc-4.0"
    )
    citation: str = Field(default="", description="how to cite the images")
    notes: str = Field(default="", description="a paragraph for the card, in Markdown")


class ConceptDatasetFacts(BaseModel, frozen=True):
    """What is said about a concept dataset besides its tables."""

    name: str = Field(description="the study's name")
    classes: tuple[ClassLabel, ...]
    class_counts: dict[str, dict[str, int]]
    encoder: EncoderIdentity
    images_from: str
    concepts_from: str
    synthetic_images: bool
    recorded_answers: bool
    image_dataset: str = Field(description="digest of the image dataset, for the pixels")
    test_labels: str = Field(description="digest of the test labels, read by the last evaluation")
    validation: str = Field(description="digest of the validation report")


@dataclass(frozen=True)
class ConceptDataset(Artifact):
    """Images, their vectors and concept scores, the concepts, and everything that was dropped.

    On disk it is what `datasets.load_dataset(folder)` expects: Parquet files and a `README.md`
    (the dataset card) that names the configurations `images` (default; one file a split),
    `concepts`, `pool` (all candidates that passed the screen) and `dropped`. Labels of the test
    split are empty: they are held out, and only the last evaluation reads them.
    """

    kind: ClassVar[str] = "concept-dataset"

    facts: ConceptDatasetFacts
    images: pd.DataFrame
    """The image dataset's rows without `location`; see `schemas.images.ImageDataset`."""
    vectors: Float32[np.ndarray, "image dim"]
    scores: Float32[np.ndarray, "image concept"]
    """Cosine of every image and every selected concept."""
    concepts: tuple[Concept, ...]
    pool: tuple[Candidate, ...]
    """Everything that could have been selected, the selected included."""
    pool_vectors: Float32[np.ndarray, "candidate dim"]
    dropped: tuple[Drop, ...]
    card: str
    """The dataset card, Markdown with a YAML head."""

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other."""
        rows = len(self.images)
        if self.vectors.shape[0] != rows or self.scores.shape != (rows, len(self.concepts)):
            raise ValueError(
                f"{rows} images and {len(self.concepts)} concepts, but vectors of shape "
                f"{self.vectors.shape} and scores of shape {self.scores.shape}"
            )
        if self.pool_vectors.shape[0] != len(self.pool):
            raise ValueError("each candidate of the pool needs one vector")
        if bool(self.images.loc[self.images["split"] == "test", "label"].notna().any()):
            raise ValueError("labels of the test split must stay held out")

    @property
    def class_keys(self) -> tuple[str, ...]:
        """The class keys in the order of their integer labels."""
        return tuple(c.key for c in self.facts.classes)

    @property
    def links(self) -> Bool[np.ndarray, "class concept"]:
        """True where a concept was proposed for a class."""
        return np.array([[k in c.classes for c in self.concepts] for k in self.class_keys])

    @property
    def image_dataset_ref(self) -> Ref[ImageDataset]:
        """Where the pixels are found."""
        return Ref(ImageDataset.kind, self.facts.image_dataset)

    @property
    def test_labels_ref(self) -> Ref[TestLabels]:
        """The held-out labels; loaded by the last evaluation and nothing else."""
        return Ref(TestLabels.kind, self.facts.test_labels)

    def rows(self, split: Split) -> Int[np.ndarray, " row"]:
        """Return the row numbers of one split."""
        return np.flatnonzero((self.images["split"] == split).to_numpy())

    def labels(self, split: Literal["train", "validation"]) -> Int[np.ndarray, " row"]:
        """Return the integer labels of `rows(split)`; the test split's are held out."""
        order = {key: i for i, key in enumerate(self.class_keys)}
        keys = self.images["label"].to_numpy()[self.rows(split)]
        return np.array([order[k] for k in keys], dtype=np.int64)

    def write(self, folder: Path) -> None:
        """Write the card, the Parquet files and `facts.json`."""
        (folder / "README.md").write_text(self.card, encoding="utf-8")
        write_json(folder / "facts.json", self.facts.model_dump(mode="json"))
        data = folder / "data"
        data.mkdir()
        for split in SPLITS:
            rows = self.rows(split)
            table = pa.Table.from_pandas(self.images.iloc[rows], preserve_index=False)
            # Both are typed alike in every split, so that the splits' schemas agree.
            table = table.set_column(
                table.schema.get_field_index("label"),
                "label",
                table["label"].cast(pa.string()),
            )
            table = table.append_column("vector", _lists(self.vectors[rows]))
            table = table.append_column("scores", _lists(self.scores[rows]))
            pq.write_table(table, data / f"{split}.parquet")
        pq.write_table(self._concept_table(), folder / "concepts.parquet")
        pool = _table(self.pool, self.pool).append_column("vector", _lists(self.pool_vectors))
        pq.write_table(pool, folder / "pool.parquet")
        dropped = _table(self.dropped, [d.candidate for d in self.dropped])
        dropped = dropped.append_column(
            "gate", pa.array([d.gate for d in self.dropped], pa.string())
        )
        dropped = dropped.append_column(
            "reason", pa.array([d.reason for d in self.dropped], pa.string())
        )
        pq.write_table(dropped, folder / "dropped.parquet")

    def _concept_table(self) -> pa.Table:
        table = _table(self.concepts, self.concepts)
        table = table.append_column(
            "selected_for",
            pa.array([list(c.selected_for) for c in self.concepts], pa.list_(pa.string())),
        )
        return table.append_column(
            "discriminability", pa.array([c.discriminability for c in self.concepts], pa.float64())
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the tables back; every promise is checked again."""
        tables = [pq.read_table(folder / "data" / f"{split}.parquet") for split in SPLITS]
        whole = pa.concat_tables(tables, promote_options="permissive")
        pool = pq.read_table(folder / "pool.parquet")
        return cls(
            facts=ConceptDatasetFacts.model_validate_json((folder / "facts.json").read_bytes()),
            images=whole.drop_columns(["vector", "scores"]).to_pandas(),
            vectors=_matrix(whole["vector"]),
            scores=_matrix(whole["scores"]),
            concepts=_models(pq.read_table(folder / "concepts.parquet"), Concept),
            pool=_models(pool, Candidate),
            pool_vectors=_matrix(pool["vector"]),
            dropped=_models(pq.read_table(folder / "dropped.parquet"), Drop),
            card=(folder / "README.md").read_text(encoding="utf-8"),
        )


M = TypeVar("M", bound=BaseModel)


def _table(rows: Sequence[BaseModel], concepts: Sequence[Concept | Candidate]) -> pa.Table:
    """Return what every reader wants as columns, and the whole record as `json`."""
    return pa.table(
        {
            "concept_id": pa.array([c.concept_id for c in concepts], pa.string()),
            "text": pa.array([c.text for c in concepts], pa.string()),
            "classes": pa.array([list(c.classes) for c in concepts], pa.list_(pa.string())),
            "json": pa.array([row.model_dump_json() for row in rows], pa.string()),
        }
    )


def _models(table: pa.Table, model: type[M]) -> tuple[M, ...]:
    return tuple(model.model_validate_json(text) for text in table["json"].to_pylist())


def _lists(matrix: Float32[np.ndarray, "row column"]) -> pa.Array:
    """Return one fixed-size list of float32 a row."""
    flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _matrix(column: pa.ChunkedArray) -> Float32[np.ndarray, "row column"]:
    """Return a matrix again."""
    size = column.type.list_size
    parts = [chunk.flatten().to_numpy().reshape(-1, size) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty((0, size), dtype=np.float32)
