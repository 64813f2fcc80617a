from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from curette.schemas.concept_dataset import ConceptDataset, ConceptDatasetFacts
from curette.schemas.images import SPLITS
from tests.builders.small_study import CLASSES, ENCODER, SELECTED, small_study, unit_vectors


def concept_dataset(**changes: Any) -> ConceptDataset:
    study = small_study()
    generator = np.random.default_rng(3)
    images = study.dataset.images.drop(columns=["location", "mask_location"])
    dataset = ConceptDataset(
        facts=ConceptDatasetFacts(
            name="small",
            classes=CLASSES,
            class_counts=study.dataset.class_counts,
            encoder=ENCODER,
            images_from="here",
            concepts_from="there",
            priors_from="there too",
            synthetic_images=True,
            recorded_answers=False,
            validated="a",
            test_labels="b",
        ),
        images=images,
        vectors=study.images.vectors,
        scores=generator.normal(size=(len(images), len(SELECTED))).astype(np.float32),
        concepts=study.concepts.concepts,
        pool=study.screened.kept,
        pool_vectors=unit_vectors(generator, len(study.screened.kept)),
        class_vectors=unit_vectors(generator, len(CLASSES)),
        priors=study.priors.priors,
        dropped=study.screened.dropped,
        card="---\nlicense: other\n---\n\n# small\n",
    )
    return replace(dataset, **changes)


def write_and_read(dataset: ConceptDataset, folder: Path) -> ConceptDataset:
    folder.mkdir(exist_ok=True)
    dataset.write(folder)
    return ConceptDataset.read(folder)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    dataset = concept_dataset()
    again = write_and_read(dataset, tmp_path)
    pd.testing.assert_frame_equal(
        again.images.astype(object).where(again.images.notna(), None),
        dataset.images.astype(object).where(dataset.images.notna(), None),
    )
    for name in ("vectors", "scores", "pool_vectors", "class_vectors"):
        assert np.array_equal(getattr(again, name), getattr(dataset, name))
        assert getattr(again, name).dtype == np.float32
    assert (again.facts, again.card) == (dataset.facts, dataset.card)
    assert (again.concepts, again.pool) == (dataset.concepts, dataset.pool)
    assert again.dropped == dataset.dropped


def test_rows_of_mixed_splits_come_back_with_their_own_vectors(tmp_path: Path) -> None:
    dataset = concept_dataset()
    order = np.random.default_rng(0).permutation(len(dataset.images))
    mixed = replace(
        dataset,
        images=dataset.images.iloc[order],
        vectors=dataset.vectors[order],
        scores=dataset.scores[order],
    )
    again = write_and_read(mixed, tmp_path)
    assert list(again.images["image_id"]) == list(dataset.images["image_id"])
    assert np.array_equal(again.vectors, dataset.vectors)
    assert np.array_equal(again.scores, dataset.scores)


def test_reading_the_concepts_reads_no_vectors(tmp_path: Path) -> None:
    """The files that hold nothing else may be gone; what was not read yet is read when asked."""
    dataset = concept_dataset()
    again = write_and_read(dataset, tmp_path)
    for name in ("data", "pool.parquet", "classes.parquet", "priors.parquet", "dropped.parquet"):
        (tmp_path / name).rename(tmp_path / f"no {name}")
    assert (again.facts, again.concepts) == (dataset.facts, dataset.concepts)
    with pytest.raises(FileNotFoundError):
        _ = again.vectors
    (tmp_path / "no data").rename(tmp_path / "data")
    assert np.array_equal(again.vectors, dataset.vectors)
    assert again.vectors is again.vectors


def test_tables_that_no_longer_fit_are_refused_when_they_are_opened(tmp_path: Path) -> None:
    concept_dataset().write(tmp_path)
    priors = pq.read_table(tmp_path / "priors.parquet")
    pq.write_table(priors.slice(1), tmp_path / "priors.parquet")
    with pytest.raises(ValueError, match="one prior for each class"):
        ConceptDataset.read(tmp_path)


def test_links_rows_and_labels_follow_the_tables() -> None:
    dataset = concept_dataset()
    assert dataset.links.shape == (3, 6)
    assert dataset.links.sum(axis=1).tolist() == [2, 2, 2]
    assert [len(dataset.rows(split)) for split in SPLITS] == [36, 12, 12]
    assert dataset.labels("validation").tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_the_splits_have_one_schema_even_where_a_column_is_empty(tmp_path: Path) -> None:
    concept_dataset().write(tmp_path)
    schemas = [pq.read_schema(tmp_path / "data" / f"{split}.parquet") for split in SPLITS]
    assert schemas[0] == schemas[1] == schemas[2]
    assert str(schemas[2].field("label").type) == "string"
    assert str(schemas[2].field("lesion").type) == "string"


def test_columns_of_any_kind_survive(tmp_path: Path) -> None:
    images = concept_dataset().images.copy()
    count = len(images)
    images["meta.site"] = pd.Categorical(["arm", "leg"] * (count // 2))
    images["meta.visits"] = pd.array([1, None] * (count // 2), dtype="Int64")
    images["meta.day"] = pd.date_range("2020-01-01", periods=count)
    images["meta.empty"] = None
    images["meta.mixed case, with | signs"] = "x"
    again = write_and_read(concept_dataset(images=images), tmp_path).images
    assert list(again["meta.site"]) == ["arm", "leg"] * (count // 2)
    assert again["meta.visits"].isna().sum() == count // 2
    assert list(again["meta.day"]) == list(images["meta.day"])
    assert bool(again["meta.empty"].isna().all())
    assert list(again.columns) == list(images.columns)


def test_nothing_dropped_is_a_table_without_rows(tmp_path: Path) -> None:
    assert write_and_read(concept_dataset(dropped=()), tmp_path).dropped == ()


def test_equal_datasets_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        concept_dataset().write(tmp_path / name)
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) == 10
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"60 images and 6 concepts, but vectors of shape \(60, 16"
    ):
        concept_dataset(scores=np.zeros((60, 5), dtype=np.float32))


def test_a_pool_without_its_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="each candidate of the pool needs one vector"):
        concept_dataset(pool_vectors=np.zeros((2, 16), dtype=np.float32))


def test_labels_of_the_test_split_are_refused() -> None:
    images = concept_dataset().images.copy()
    images.loc[19, "label"] = "nv"
    with pytest.raises(ValueError, match="must stay held out"):
        concept_dataset(images=images)
