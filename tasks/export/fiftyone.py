"""A study's images as a dataset of FiftyOne: `metadata.json`, `samples.json`, pictures in `data/`.

The layout is that of `fiftyone.types.FiftyOneDataset`
(https://docs.voxel51.com/user_guide/import_datasets.html#fiftyonedataset): documents of MongoDB as
its extended JSON. Their fields are those of FiftyOne 1.9; newer versions bring them up to date as
they load them.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from curette.schemas.artifact import write_json
from curette.schemas.concept_dataset import ConceptDataset
from curette.tasks.export.shown import Shown, concept_fields, known_table

PICTURES = "data"
_VERSION = "1.9.0"
_FIELD, _LABEL = "fiftyone.core.fields", "fiftyone.core.labels"


def write_fiftyone(folder: Path, published: ConceptDataset, images: Sequence[Shown]) -> None:
    """Write `metadata.json` and `samples.json`.

    Each sample has `ground_truth` and `prediction` (labels are the classes' names), `reasons`, one
    field for each column that is known, and `score_*` for each concept; its split is its tag.

    Args:
        folder: where the pictures lie below `data/`.
        published: the dataset.
        images: what is shown of it.
    """
    names = {c.key: c.name for c in published.facts.classes}
    known = {column: _name(column) for column in known_table(published).column_names}
    scores = concept_fields(published, "score_")
    schema = known_table(published).schema
    fields = [
        *_OWN_FIELDS,
        _labels("ground_truth"),
        _labels("prediction", "By the concept bottleneck; the confidence is not calibrated."),
        _several_labels("reasons", "Concepts that put the decided class ahead of the next most."),
        *(
            _field(known[column.name], _kind(column.type))
            for column in schema
            if column.name != "split"
        ),
        *(
            _field(name, "FloatField", description=f"{concept.text}: cosine with the image")
            for name, concept in zip(scores, published.concepts, strict=True)
        ),
    ]
    metadata = {
        "name": published.facts.name,
        "version": _VERSION,
        "media_type": "image",
        "description": published.facts.description,
        "info": {
            "images_from": published.facts.images_from,
            "encoder": published.facts.encoder.name,
        },
        "tags": [],
        "classes": {},
        "default_classes": list(names.values()),
        "mask_targets": {},
        "default_mask_targets": {},
        "sample_fields": fields,
        "frame_fields": [],
    }
    write_json(folder / "metadata.json", metadata)
    samples = [
        {
            "filepath": image.file,
            "tags": [image.known["split"]],
            "metadata": None,
            "_media_type": "image",
            "_rand": int(_digest(image, "")[:13], 16) / 16**13,
            "ground_truth": _label(image, "ground_truth", names[image.label])
            if image.label is not None
            else None,
            "prediction": _label(image, "prediction", names[image.decided])
            | {"confidence": image.probability},
            "reasons": {
                "_cls": "Classifications",
                "classifications": [_label(image, text, text) for text in image.reasons],
            },
            **{known[c]: value for c, value in image.known.items() if c != "split"},
            **dict(zip(scores, image.scores, strict=True)),
        }
        for image in images
    ]
    write_json(folder / "samples.json", {"samples": samples})


def _name(column: str) -> str:
    """Return a column's name as a field's, which no dot may part."""
    return column.replace(".", "_")


def _digest(image: Shown, of: str) -> str:
    return sha256(f"{image.known['image_id']}\n{of}".encode()).hexdigest()


def _label(image: Shown, of: str, label: str) -> dict[str, Any]:
    """Return a label; its id, 12 bytes, is the same whenever it is written."""
    name = {"$oid": _digest(image, of)[:24]}
    return {"_id": name, "_cls": "Classification", "tags": [], "label": label}


def _field(name: str, kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": f"{_FIELD}.{kind}",
        "embedded_doc_type": None,
        "subfield": None,
        "fields": [],
        "db_field": name,
        "description": None,
        "info": None,
        "read_only": False,
        "created_at": None,
    } | changes


def _labels(name: str, description: str | None = None) -> dict[str, Any]:
    return _field(
        name,
        "EmbeddedDocumentField",
        embedded_doc_type=f"{_LABEL}.Classification",
        fields=_OF_A_LABEL,
        description=description,
    )


def _several_labels(name: str, description: str) -> dict[str, Any]:
    each = _field(
        "classifications",
        "ListField",
        embedded_doc_type=f"{_LABEL}.Classification",
        subfield=f"{_FIELD}.EmbeddedDocumentField",
        fields=_OF_A_LABEL,
    )
    return _field(
        name,
        "EmbeddedDocumentField",
        embedded_doc_type=f"{_LABEL}.Classifications",
        fields=[each, _field("logits", "VectorField")],
        description=description,
    )


def _kind(of: pa.DataType) -> str:
    if pa.types.is_boolean(of):
        return "BooleanField"
    if pa.types.is_integer(of):
        return "IntField"
    return "FloatField" if pa.types.is_floating(of) else "StringField"


_OF_A_LABEL = [
    _field("id", "ObjectIdField", db_field="_id"),
    _field("tags", "ListField", subfield=f"{_FIELD}.StringField"),
    _field("label", "StringField"),
    _field("confidence", "FloatField"),
    _field("logits", "VectorField"),
]
_OWN_FIELDS = [
    _field("id", "ObjectIdField", db_field="_id"),
    _field("filepath", "StringField"),
    _field("tags", "ListField", subfield=f"{_FIELD}.StringField"),
    _field(
        "metadata",
        "EmbeddedDocumentField",
        embedded_doc_type="fiftyone.core.metadata.ImageMetadata",
    ),
    _field("created_at", "DateTimeField", read_only=True),
    _field("last_modified_at", "DateTimeField", read_only=True),
    _field("_media_type", "StringField"),
    _field("_rand", "FloatField"),
    _field("_dataset_id", "ObjectIdField"),
]
"""What every sample has."""
