"""The tables that the gate looks at: our nouns as rows, and what is wrong with a row in words.

A column whose name ends with `?` is a *finding*: empty where all is well, else a sentence. What a
column of numbers or names can show stands in a column of its own.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float32

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import normal_form
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, TextEmbeddings
from curette.schemas.images import METADATA, ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.screened import ScreenedSet
from curette.tasks.validate.leakage import Conflict, class_name_in, conflicts, twins
from curette.tasks.validate.privacy import FINDINGS, privacy_findings


def image_table(
    dataset: ImageDataset, vectors: ImageEmbeddings, index: ConceptIndex
) -> pd.DataFrame:
    """Return one row an image; a finding stands in the first row that it concerns."""
    images = dataset.images
    ids, splits, hashes = (_texts(images[name]) for name in ("image_id", "split", "sha256"))
    rows = list(zip(ids, splits, _texts(images["label"]), strict=True))
    # Empty text and not None where a label must be, since every expectation skips None.
    labels = [None if split == "test" else label or "" for _, split, label in rows]
    table = pd.DataFrame(
        {
            "image_id": ids,
            "sha256": [value or "" for value in hashes],
            "split": [value or "" for value in splits],
            "label": labels,
            "held out?": [
                f"test image {image} has a label" if split == "test" and label else None
                for image, split, label in rows
            ],
            "same bytes, two labels?": _parted("image", conflicts(hashes, labels), ids),
            "same bytes, two splits?": _parted("image", conflicts(hashes, splits), ids),
        }
    )
    for name in ("subject", "lesion", "group"):
        parted = conflicts(_texts(images[name]), splits) if name in images else []
        table[f"{name}, two splits?"] = _parted(name, parted, ids)
    alike = {
        x.image_id: f"{x.image_id} ({x.split}) is nearly equal to {cluster.image_id} "
        f"({cluster.split}), cosine {x.cosine:.4f}"
        for cluster in index.duplicates.clusters
        for x in cluster.look_alikes
    }
    table["look-alikes, two splits?"] = [alike.get(image or "") for image in ids]
    told = dataset.tell_patients([image or "" for image in ids])
    table["patient in its id?"] = [i if tells else None for i, tells in zip(ids, told, strict=True)]
    table["unnamed subject?"] = [dataset.unnamed_subject or None, *[None] * len(ids)][: len(ids)]
    table["vector?"] = [
        None if row < len(vectors.keys) and vectors.keys[row] == image else image
        for row, image in enumerate(ids)
    ]
    indexed = index.image_ids if index.facts.is_of(vectors.vectors) else ()
    table["index?"] = _absent(ids, ids, indexed)
    return table


def metadata_table(dataset: ImageDataset, cleared: Mapping[str, str]) -> pd.DataFrame:
    """Return one row a metadata column, and what of a person it would publish.

    Args:
        dataset: the images.
        cleared: columns that the study lets through whatever they look like, and why.

    Raises:
        StudyError: a cleared column is no metadata of the dataset.
    """
    images = dataset.images
    names = [c.removeprefix(METADATA) for c in images.columns if c.startswith(METADATA)]
    if absent := sorted({*cleared} - {*names}):
        raise StudyError(
            f"validation.cleared: {', '.join(absent)} is no metadata of the dataset; its columns "
            f"are: {', '.join(names) or 'none'}."
        )
    rows = []
    for name in names:
        found = privacy_findings(name, images[f"{METADATA}{name}"], images["group"])
        said = "; ".join(finding for finding in found.values() if finding)
        if name in cleared and said:
            told = f"{said}. Cleared by the study: {cleared[name]}"
            rows.append({"column": name, **dict.fromkeys(FINDINGS), "cleared?": told})
        else:
            rows.append({"column": name, **found, "cleared?": None})
    return pd.DataFrame(rows, columns=["column", *FINDINGS, "cleared?"])


def class_table(dataset: ImageDataset, concepts: ConceptSet) -> pd.DataFrame:
    """Return one row a class: its images as counted by `ingest`, as seen here, and its concepts.

    Concepts are those that took up its quota: one chosen for another class counts for that alone.
    """
    counts = {
        split: [dataset.class_counts.get(key, {}).get(split, 0) for key in dataset.class_keys]
        for split in ("train", "validation", "test")
    }
    seen = dataset.images.groupby(["split", "label"]).size().to_dict()
    largest = max(counts["train"], default=0)
    picks = {selection.class_key: len(selection.picks) for selection in concepts.selections}
    return pd.DataFrame(
        {
            "class": dataset.class_keys,
            **{f"{split} images": number for split, number in counts.items()},
            **{
                f"{split} rows": [seen.get((split, key), 0) for key in dataset.class_keys]
                for split in ("train", "validation")
            },
            "times rarer": [largest / n if n else float("nan") for n in counts["train"]],
            "concepts": [picks.get(key, 0) for key in dataset.class_keys],
        }
    )


def concept_table(
    dataset: ImageDataset,
    screened: ScreenedSet,
    concepts: ConceptSet,
    vectors: TextEmbeddings,
    index: ConceptIndex,
    near_duplicate_cosine: float,
) -> pd.DataFrame:
    """Return one row a selected concept."""
    texts, ids = concepts.texts, concepts.ids
    names = [name for label in dataset.classes for name in (label.name, *label.synonyms)]
    found = [class_name_in(text, names) for text in texts]
    unknown = [
        sorted({*c.classes, *c.selected_for} - {*dataset.class_keys}) for c in concepts.concepts
    ]
    quoted = [f"'{text}'" for text in texts]
    embedded = set(vectors.keys)
    known = [text for text in texts if text in embedded]
    twin: dict[str, str] = {}
    for first, second, cosine in twins(vectors.take(known), near_duplicate_cosine):
        pair = f"'{known[first]}' and '{known[second]}', cosine {cosine:.4f}"
        twin.setdefault(known[first], pair)
    return pd.DataFrame(
        {
            "concept_id": ids,
            "text": texts,
            "normal form": [normal_form(text) for text in texts],
            "class name?": [
                f"{concept} names the class '{name}'" if name else None
                for concept, name in zip(quoted, found, strict=True)
            ],
            "near-duplicate?": [twin.get(text) for text in texts],
            "unknown class?": [
                f"{concept} is linked to {', '.join(keys)}" if keys else None
                for concept, keys in zip(quoted, unknown, strict=True)
            ],
            "screen?": _absent(quoted, ids, [c.concept_id for c in screened.kept]),
            "vector?": _absent(quoted, texts, vectors.keys),
            "index?": _absent(quoted, ids, index.concept_ids),
        }
    )


def score_table(
    scores: Float32[np.ndarray, "image concept"], concepts: Sequence[str]
) -> pd.DataFrame:
    """Return one row a concept: how its scores lie over all images.

    Mean, deviation and extremes are those of the finite scores; none of them needs a label.
    """
    names = ["concept", "images", "finite scores", "mean", "deviation", "lowest", "highest"]
    rows = []
    for text, column in zip(concepts, scores.T, strict=True):
        finite = column[np.isfinite(column)].astype(np.float64)
        statistics = (
            [finite.mean(), finite.std(), finite.min(), finite.max()] if len(finite) else []
        )
        rows.append([text, len(column), len(finite), *(statistics or [np.nan] * 4)])
    return pd.DataFrame(rows, columns=names)


def _texts(column: Iterable[object]) -> list[str | None]:
    """Return a column's texts, and None for whatever pandas holds where there is none."""
    return [value if isinstance(value, str) else None for value in column]


def _parted(
    what: str, found: Sequence[Conflict], image_ids: Sequence[str | None]
) -> list[str | None]:
    """Return one sentence for each thing in two places, in the row where it stands first."""
    sentences: list[str | None] = [None] * len(image_ids)
    for conflict in found:
        name = image_ids[conflict.row] if what == "image" else conflict.thing
        where = ", ".join(f"{place} ({count})" for place, count in conflict.places.items())
        sentences[conflict.row] = f"{what} {name}: {where}"
    return sentences


def _absent(
    names: Sequence[str | None], keys: Sequence[str | None], others: Sequence[str]
) -> list[str | None]:
    """Return the names of the rows whose keys the other artifact does not hold."""
    there = set(others)
    return [None if key in there else name for name, key in zip(names, keys, strict=True)]
