"""A published concept dataset in the vocabulary of Croissant 1.0, for catalogues and loaders.

JSON-LD with the file objects and record sets of the specification
(https://docs.mlcommons.org/croissant/docs/croissant-spec.html), and properties of its extension for
responsible AI (https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html), of which only
those are there that are known. What nobody said, such as who made the images, is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from curette.schemas.artifact import Manifest, PayloadFile
from curette.schemas.concept_dataset import ConceptDatasetFacts
from curette.schemas.images import ANNOTATION, ATTRIBUTE, METADATA

CROISSANT = "croissant.json"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        term: f"cr:{term}"
        for term in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty"),
            *("fileObject", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key"),
            *("md5", "parentField", "path", "recordSet", "references", "regex", "repeated"),
            *("replace", "samplingRate", "separator", "source", "subField", "transform"),
        )
    },
}
"""As in appendix 1 of the specification, with `rai`."""
_KINDS = {
    ".parquet": "application/x-parquet",  # what loaders know; the one of IANA they do not
    ".json": "application/json",
    ".md": "text/markdown",
    ".safetensors": "application/octet-stream",
}
_COLUMNS = {
    "image_id": "Unique name of the image.",
    "sha256": "Digest of the image's bytes, which are not included.",
    "split": "train, validation or test.",
    "label": "Class key; empty on purpose in the test split.",
    "subject": "Pseudonym of the person, where one is known.",
    "lesion": "Pseudonym of the lesion, where one is known.",
    "group": "Images that must never be parted share it.",
    "vector": "Vector of the encoder.",
    "scores": "Cosine of the image and each concept, in the order of the record set concepts.",
    "concept_id": "Name of the concept, made of its text.",
    "text": "What can be seen.",
    "classes": "Keys of the classes that it was proposed for.",
    "selected_for": "Keys of the classes that it was selected for.",
    "discriminability": "How far it tells classes apart, in nats.",
    "json": "The whole record, with the origin of the text.",
    "class_key": "Key of the class.",
    "answer": "What is believed before any image is looked at.",
    "gate": "What dropped it.",
    "reason": "Why.",
}


@dataclass(frozen=True)
class Told:
    """What is said of a dataset by its owner, or known of where it lies; empty: nobody said."""

    title: str
    licence: str
    citation: str
    published: str
    """Date, ISO 8601."""
    digest: str
    """What tells one version of the dataset from another."""
    organisation: str = ""
    """Who answers for it."""
    url: str = ""

    @classmethod
    def of(cls, manifest: Manifest, url: str = "") -> Self:
        """Return what the manifest of a published dataset tells, and where it lies.

        Args:
            manifest: whose recipe has the settings of the stage `publish`.
            url: of the dataset's page, where it has one.
        """
        said = manifest.recipe.spec
        return cls(
            title=" ".join(str(said.get("title") or said.get("name") or manifest.digest).split()),
            licence=str(said.get("licence", "other")),
            citation=str(said.get("citation", "")),
            published=manifest.created_at[:10],
            digest=manifest.digest,
            organisation=str(said.get("organisation", "")),
            url=url,
        )


def schemas_of(folder: Path, files: Iterable[str]) -> dict[str, pa.Schema]:
    """Return name -> schema of those files of a folder that are Parquet and have rows."""
    tables = {name: pq.ParquetFile(folder / name) for name in files if name.endswith(".parquet")}
    return {name: t.schema_arrow for name, t in tables.items() if t.metadata.num_rows}


def croissant(
    facts: ConceptDatasetFacts,
    files: Mapping[str, PayloadFile],
    tables: Mapping[str, pa.Schema],
    told: Told,
) -> dict[str, Any]:
    """Return the JSON-LD.

    Args:
        facts: of the dataset.
        files: name in the dataset's folder -> what the file is.
        tables: name -> schema, of those that are Parquet and have rows; those of images in `data/`.
        told: the rest.
    """
    images = next((t for name, t in tables.items() if name.startswith("data/")), pa.schema([]))
    said: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.0",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": told.title,
        "description": facts.description or f"Concepts of {facts.images_from}",
        "license": {"@type": "sc:CreativeWork", "name": told.licence},
        "creator": [{"@type": "sc:Organization", "name": told.organisation}]
        if told.organisation
        else [],
        "citeAs": told.citation,
        "url": told.url,
        "datePublished": told.published,
        # Nobody counts versions; semantic versioning has room for what tells them apart.
        "version": f"1.0.0+{told.digest}",
        "keywords": ["concept bottleneck", "interpretability", "medical images"],
        "isLiveDataset": False,
        "distribution": [_file(name, file) for name, file in files.items()],
        "recordSet": [_records(name, schema) for name, schema in tables.items()],
        **_responsible(facts, images.names),
    }
    return {name: value for name, value in said.items() if value not in ("", [])}


def _file(name: str, file: PayloadFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{file.size_bytes} B",
        "encodingFormat": next(
            (kind for ending, kind in _KINDS.items() if name.endswith(ending)),
            "application/octet-stream",
        ),
        "sha256": file.sha256,
    }


def _records(name: str, schema: pa.Schema) -> dict[str, Any]:
    table = name.removesuffix(".parquet").removeprefix("data/")
    records: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "description": f"Images of the split {table}."
        if name.startswith("data/")
        else f"Rows of the configuration {table}.",
        "field": [_field(table, name, column) for column in schema],
    }
    key = {"image_id", "class_key"} if name != "priors.parquet" else set()
    if keys := [{"@id": f"{table}/{column}"} for column in schema.names if column in key]:
        records["key"] = keys[0]
    return records


def _field(table: str, file: str, column: pa.Field) -> dict[str, Any]:
    of_lists = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table}/{column.name}",
        "name": f"{table}/{column.name}",
        "description": _meaning(column.name),
        "dataType": _type(column.type.value_type if of_lists else column.type),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
    }
    return field | ({"repeated": True} if of_lists else {})


def _meaning(column: str) -> str:
    if column.startswith(METADATA):
        return "As the images' source says."
    if column.startswith(ATTRIBUTE):
        return "Ground truth for checking concepts, not an input of a model; empty: unknown."
    if column.startswith(ANNOTATION):
        return "A language model's reading of the image's report; empty: unknown."
    return _COLUMNS.get(column, "")


def _type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    return "sc:Text"


def _responsible(facts: ConceptDatasetFacts, columns: list[str]) -> dict[str, Any]:
    """Return what is known of the extension's properties."""
    of_people = [c.removeprefix(METADATA) for c in columns if c.startswith(METADATA)]
    read = facts.annotations
    erased = facts.erasure.columns if facts.erasure else ()
    return {
        "rai:dataCollection": f"Images: {facts.images_from}. Concepts: {facts.concepts_from}.",
        "rai:dataPreprocessingProtocol": [
            f"Images and concepts are vectors of the encoder {facts.encoder.name} (identity "
            f"{facts.encoder.digest}); the images themselves are not included.",
            "Images of one subject or lesion, or of equal bytes, never stand in two splits.",
        ],
        "rai:dataManipulationProtocol": " ".join(column.told for column in erased),
        "rai:machineAnnotationTools": [read.model] if read else [],
        "rai:dataAnnotationProtocol": "Concepts in the columns annotation.* were read from reports "
        "by a language model, which may have read wrongly."
        if read
        else "",
        "rai:dataUseCases": [
            "Research on concept bottlenecks and on what image encoders know. Not for diagnosis, "
            "nor for any decision about a patient."
        ],
        "rai:dataLimitations": [
            "Labels of the test split are empty, on purpose.",
            "A score is neither a probability nor calibrated, and a high one does not prove that "
            "the encoder sees what the text says.",
            "Concepts come from a language model or a file: they may be wrong, incomplete or "
            "one-sided.",
            *(["The images are drawn; they say nothing about medicine."] * facts.synthetic_images),
            *(["The language model's answers were recorded earlier."] * facts.recorded_answers),
        ],
        "rai:dataBiases": [
            "Who is not in the images' source is not measured; scores inherit whatever the encoder "
            "learnt, its shortcuts included."
        ],
        "rai:personalSensitiveInformation": [
            "Subjects and lesions have pseudonyms."
            if not facts.synthetic_images
            else "None: the images are drawn.",
            *([f"What the source says of images: {', '.join(of_people)}."] if of_people else []),
        ],
    }
