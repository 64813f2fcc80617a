"""The published concept dataset: a Hugging Face `DatasetDict` on disk, complete in itself."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int, Int8
from pydantic import BaseModel, Field

from curette.schemas.annotations import AnnotationFacts
from curette.schemas.appraisal import Round
from curette.schemas.artifact import Artifact, Ref, write_json
from curette.schemas.candidates import Candidate
from curette.schemas.concepts import Concept
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.erasure import Erasure
from curette.schemas.images import SPLITS, ClassLabel, Split, TestLabels, Truth
from curette.schemas.priors import Prior
from curette.schemas.screened import Drop, LabelledConcept
from curette.schemas.validation import ValidatedConceptDataset

M = TypeVar("M", bound=BaseModel)


class ConceptDatasetFacts(BaseModel, frozen=True):
    """What is said about a concept dataset besides its tables."""

    name: str = Field(description="the study's name")
    description: str = Field(default="", description="the study's own words about itself")
    classes: tuple[ClassLabel, ...]
    class_counts: dict[str, dict[str, int]]
    encoder: EncoderIdentity
    reference: str = Field(
        default="",
        exclude_if=lambda reference: not reference,
        description="what statements are scored against: how much nearer an image is to them",
    )
    images_from: str
    concepts_from: str
    priors_from: str = Field(description="who says which concept speaks for which class")
    synthetic_images: bool
    recorded_answers: bool
    labelled: tuple[LabelledConcept, ...] = Field(
        default=(), description="concepts of the pool that the images' ground truth decides"
    )
    annotations: AnnotationFacts | None = Field(
        default=None,
        exclude_if=lambda facts: facts is None,
        description="what a language model read in reports; nothing where none was asked",
    )
    rounds: tuple[Round, ...] = Field(
        default=(),
        exclude_if=lambda rounds: not rounds,
        description="what each round of proposing added; empty where there was but one",
    )
    erasure: Erasure | None = Field(
        default=None,
        exclude_if=lambda erasure: erasure is None,
        description="what vectors no longer tell; nothing where `publish.erase` is empty",
    )
    validated: str = Field(description="digest of what passed the gate: images, vectors, checks")
    test_labels: str = Field(description="digest of the test labels, read by the last evaluation")


@dataclass(frozen=True)
class ConceptDataset(Artifact):
    """Images, their vectors and concept scores, the concepts, and everything that was dropped.

    On disk it is what `datasets.load_dataset(folder)` expects: Parquet files and a `README.md`
    (the dataset card) that names the configurations `images` (default; one file a split),
    `concepts`, `pool` (all candidates that passed the screen), `priors` and, where there are any,
    `dropped`. Labels of the test split are empty: they are held out, and only the last
    evaluation reads them.

    One that was read from a folder has read only `facts`; every other field is read from the
    columns that hold it when it is first asked for, so that whoever wants the concepts' texts does
    not wait for the images' vectors. The folder must stay where it is until then.
    """

    kind: ClassVar[str] = "concept-dataset"

    facts: ConceptDatasetFacts
    images: pd.DataFrame
    """The image dataset's rows without its two locations; see `schemas.images.ImageDataset`.

    Where reports were annotated there is a column `annotation.<concept id>` (bool, missing where
    unknown) for each concept of which the annotations are used.
    """
    vectors: Float32[np.ndarray, "image dim"]
    scores: Float32[np.ndarray, "image concept"]
    """Cosine of every image and every selected concept."""
    concepts: tuple[Concept, ...]
    pool: tuple[Candidate, ...]
    """Everything that could have been selected, the selected included."""
    pool_vectors: Float32[np.ndarray, "candidate dim"]
    class_vectors: Float32[np.ndarray, "class dim"] | None
    """Of the classes' names; None where the encoder has none."""
    priors: tuple[Prior, ...]
    """One for every candidate of the pool and every class, candidates first."""
    dropped: tuple[Drop, ...]
    card: str
    """The dataset card, Markdown with a YAML head."""

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other."""
        test = self.images.loc[self.images["split"] == "test", "label"]
        _Shapes(
            images=len(self.images),
            vectors=self.vectors.shape,
            scores=self.scores.shape,
            concepts=len(self.concepts),
            pool=len(self.pool),
            pool_vectors=len(self.pool_vectors),
            classes=len(self.class_keys),
            class_vectors=None if self.class_vectors is None else len(self.class_vectors),
            priors=len(self.priors),
            test_labels=int(test.notna().sum()),
        ).check()

    if not TYPE_CHECKING:  # a type checker would take any name

        def __getattr__(self, name: str) -> Any:
            """Read a field that was not asked for since the folder was opened."""
            tables = self.__dict__.get("_tables")
            if tables is None or name not in _READERS:
                raise AttributeError(f"a {type(self).__name__} has no {name}")
            return self.__dict__.setdefault(name, _READERS[name](tables))

    @property
    def class_keys(self) -> tuple[str, ...]:
        """The class keys in the order of their integer labels."""
        return tuple(c.key for c in self.facts.classes)

    @property
    def links(self) -> Bool[np.ndarray, "class concept"]:
        """True where a concept was proposed for a class."""
        return np.array([[k in c.classes for c in self.concepts] for k in self.class_keys])

    @property
    def prior_signs(self) -> Int8[np.ndarray, "class candidate"]:
        """1 where a candidate of the pool speaks for a class, -1 where against it, else 0."""
        signs = np.array([p.sign for p in self.priors], dtype=np.int8)
        return signs.reshape(len(self.pool), len(self.class_keys)).T

    @property
    def validated_ref(self) -> Ref[ValidatedConceptDataset]:
        """What it was published from, in the store where it was made."""
        return Ref(ValidatedConceptDataset.kind, self.facts.validated)

    @property
    def test_labels_ref(self) -> Ref[TestLabels]:
        """The held-out labels; loaded by the last evaluation and nothing else."""
        return Ref(TestLabels.kind, self.facts.test_labels)

    def seen(self, vectors: Float32[np.ndarray, "image dim"]) -> Float32[np.ndarray, "image dim"]:
        """Return an encoder's vectors of other images as heads of this dataset know such vectors.

        They are as they were, but for what the published ones are not to tell.
        """
        return self.facts.erasure.apply(vectors) if self.facts.erasure else vectors

    def rows(self, split: Split) -> Int[np.ndarray, " row"]:
        """Return the row numbers of one split."""
        return np.flatnonzero((self.images["split"] == split).to_numpy())

    def labels(self, split: Literal["train", "validation"]) -> Int[np.ndarray, " row"]:
        """Return the integer labels of `rows(split)`; the test split's are held out."""
        order = {key: i for i, key in enumerate(self.class_keys)}
        keys = self.images["label"].to_numpy()[self.rows(split)]
        return np.array([order[k] for k in keys], dtype=np.int64)

    def pool_rows(self, concept_ids: Iterable[str]) -> Int[np.ndarray, " concept"]:
        """Return where concepts stand in the pool, and so in `pool_vectors` and `prior_signs`."""
        place = {c.concept_id: i for i, c in enumerate(self.pool)}
        return np.array([place[concept_id] for concept_id in concept_ids], dtype=np.int64)

    def concept_truth(self, split: Split) -> Truth:
        """Return whether each concept is true of the images of a split, as far as is known.

        The truth about test images is for the evaluation alone.
        """
        rows = self.rows(split)
        decided = {x.concept_id: x for x in self.facts.labelled}
        present = np.zeros((len(rows), len(self.concepts)), dtype=bool)
        known = present.copy()
        for place, concept in enumerate(self.concepts):
            if (by := decided.get(concept.concept_id)) is not None:
                truth = Truth.of_column(self.images[by.column].iloc[rows])
                present[:, place] = (truth.present != by.denied) & truth.known
                known[:, place] = truth.known
        return Truth(present, known)

    def image_table(self) -> pa.Table:
        """Return the images with their vectors and scores, as they are published."""
        table = pa.Table.from_pandas(self.images, preserve_index=False)
        # Without pandas' own notes, which change with its version.
        table = table.cast(pa.schema([f.with_type(_plain(f.type)) for f in table.schema]))
        table = table.append_column("vector", _lists(self.vectors))
        return table.append_column("scores", _lists(self.scores))

    def write(self, folder: Path) -> None:
        """Write the card, the Parquet files and `facts.json`."""
        (folder / "README.md").write_text(self.card, encoding="utf-8")
        write_json(folder / "facts.json", self.facts.model_dump(mode="json"))
        (folder / "data").mkdir()
        images = self.image_table()
        for split in SPLITS:
            pq.write_table(images.take(self.rows(split)), folder / "data" / f"{split}.parquet")
        pool = _table(self.pool, self.pool).append_column("vector", _lists(self.pool_vectors))
        pq.write_table(pool, folder / "pool.parquet")
        if self.class_vectors is not None:
            classes = pa.table({"class_key": pa.array(list(self.class_keys), pa.string())})
            vectors = _lists(self.class_vectors)
            pq.write_table(classes.append_column("vector", vectors), folder / "classes.parquet")
        pq.write_table(self._concept_table(), folder / "concepts.parquet")
        pq.write_table(self._prior_table(), folder / "priors.parquet")
        pq.write_table(self._dropped_table(), folder / "dropped.parquet")

    def _concept_table(self) -> pa.Table:
        table = _table(self.concepts, self.concepts)
        table = table.append_column(
            "selected_for",
            pa.array([list(c.selected_for) for c in self.concepts], pa.list_(pa.string())),
        )
        return table.append_column(
            "discriminability", pa.array([c.discriminability for c in self.concepts], pa.float64())
        )

    def _prior_table(self) -> pa.Table:
        columns = {
            name: pa.array([getattr(p, name) for p in self.priors], pa.string())
            for name in ("concept_id", "class_key", "answer")
        }
        columns["json"] = pa.array([p.model_dump_json() for p in self.priors], pa.string())
        return pa.table(columns)

    def _dropped_table(self) -> pa.Table:
        table = _table(self.dropped, [d.candidate for d in self.dropped])
        for name in ("gate", "reason"):
            values = pa.array([getattr(d, name) for d in self.dropped], pa.string())
            table = table.append_column(name, values)
        return table

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open the tables, images sorted by id; every promise is checked again, by their schemas.

        Raises:
            ValueError: the tables do not fit each other.
        """
        tables = _Tables(folder)
        tables.shapes.check()
        opened = object.__new__(cls)
        opened.__dict__.update(facts=tables.facts, _tables=tables)
        return opened


@dataclass(frozen=True)
class _Shapes:
    """How many rows (and columns) each table has."""

    images: int
    vectors: tuple[int, ...]
    scores: tuple[int, ...]
    concepts: int
    pool: int
    pool_vectors: int
    classes: int
    class_vectors: int | None
    priors: int
    test_labels: int

    def check(self) -> None:
        """Refuse tables that do not fit each other."""
        if self.vectors[0] != self.images or self.scores != (self.images, self.concepts):
            raise ValueError(
                f"{self.images} images and {self.concepts} concepts, but vectors of shape "
                f"{self.vectors} and scores of shape {self.scores}"
            )
        if self.pool_vectors != self.pool:
            raise ValueError("each candidate of the pool needs one vector")
        if self.class_vectors not in (None, self.classes):
            raise ValueError("each class needs one vector, or none has any")
        if self.priors != self.pool * self.classes:
            raise ValueError("each candidate of the pool needs one prior for each class")
        if self.test_labels:
            raise ValueError("labels of the test split must stay held out")


class _Tables:
    """The folder of a concept dataset, of which only what is asked for is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = ConceptDatasetFacts.model_validate_json((folder / "facts.json").read_bytes())

    @property
    def shapes(self) -> _Shapes:
        """The sizes, from the files' footers."""
        images = [pq.read_schema(self._split(split)) for split in SPLITS]
        pool, rows = self._rows("pool"), sum(map(len, self._columns("image_id")))
        return _Shapes(
            images=rows,
            vectors=(rows, images[0].field("vector").type.list_size),
            scores=(rows, images[0].field("scores").type.list_size),
            concepts=self._rows("concepts"),
            pool=pool,
            pool_vectors=pool,
            classes=len(self.facts.classes),
            class_vectors=self._rows("classes") if self._path("classes").exists() else None,
            priors=self._rows("priors"),
            test_labels=len(test := self._columns("label")[-1]) - test.null_count,
        )

    def images(self) -> pd.DataFrame:
        """Return the rows without vectors and scores, sorted by id."""
        names = pq.read_schema(self._split(SPLITS[0])).names
        wanted = [name for name in names if name not in ("vector", "scores")]
        tables = [pq.read_table(self._split(split), columns=wanted) for split in SPLITS]
        return pa.concat_tables(tables).take(self._order).to_pandas()

    def of_images(self, column: str) -> Float32[np.ndarray, "image column"]:
        """Return one matrix of the images, its rows sorted by id."""
        return np.concatenate([_matrix(c) for c in self._columns(column)])[self._order]

    def vectors_of(self, table: str) -> Float32[np.ndarray, "row dim"] | None:
        """Return the vectors of one table; None where there is no such table."""
        path = self._path(table)
        return _matrix(pq.read_table(path, columns=["vector"])["vector"]) if path.exists() else None

    def models(self, table: str, model: type[M]) -> tuple[M, ...]:
        """Return the records of one table."""
        texts = pq.read_table(self._path(table), columns=["json"])["json"].to_pylist()
        return tuple(model.model_validate_json(text) for text in texts)

    @cached_property
    def _order(self) -> Int[np.ndarray, " image"]:
        ids = pa.chunked_array([chunk for c in self._columns("image_id") for chunk in c.chunks])
        return pc.sort_indices(ids).to_numpy()

    def _columns(self, name: str) -> list[pa.ChunkedArray]:
        """Return a column of each split."""
        return [pq.read_table(self._split(split), columns=[name])[name] for split in SPLITS]

    def _split(self, split: str) -> Path:
        return self.folder / "data" / f"{split}.parquet"

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.parquet"

    def _rows(self, table: str) -> int:
        return int(pq.read_metadata(self._path(table)).num_rows)


_READERS: Final[dict[str, Callable[[_Tables], Any]]] = {
    "images": _Tables.images,
    "vectors": lambda tables: tables.of_images("vector"),
    "scores": lambda tables: tables.of_images("scores"),
    "concepts": lambda tables: tables.models("concepts", Concept),
    "pool": lambda tables: tables.models("pool", Candidate),
    "pool_vectors": lambda tables: tables.vectors_of("pool"),
    "class_vectors": lambda tables: tables.vectors_of("classes"),
    "priors": lambda tables: tables.models("priors", Prior),
    "dropped": lambda tables: tables.models("dropped", Drop),
    "card": lambda tables: (tables.folder / "README.md").read_text(encoding="utf-8"),
}
"""How each field but `facts` is read from the folder."""


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


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type under which every reader takes a column.

    All text is `string`, also where a whole column is empty, so that the splits agree.
    """
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_null(kind) else kind


def _lists(matrix: Float32[np.ndarray, "row column"]) -> pa.Array:
    """Return one fixed-size list of float32 a row."""
    flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _matrix(column: pa.ChunkedArray) -> Float32[np.ndarray, "row column"]:
    """Return a matrix again."""
    size = column.type.list_size
    parts = [chunk.flatten().to_numpy().reshape(-1, size) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty((0, size), dtype=np.float32)
