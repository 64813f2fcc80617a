"""A dataset comes back as it was written, and refuses to hold what it must not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from curette.schemas.artifact import Ref
from curette.schemas.images import ClassLabel, ImageDataset, Rejection, Reports
from curette.schemas.settings.ingest import DatasetSpec, HubSource, SplitSpec, SyntheticSource
from tests.builders.images import image_dataset


def table(**changed: Any) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "image_id": ["a", "b", "c", "d"],
        "sha256": ["0", "1", "2", "3"],
        "location": ["a.png", "shelf:1", "", "d.png"],
        "mask_location": "",
        "split": ["train", "test", "validation", "train"],
        "label": ["mel", None, "nv", "nv"],
        "subject": [None, "s", "s2", "s3"],
        "lesion": None,
        "group": ["a", "b", "c", "d"],
        "meta.age": [1.5, np.nan, 3.0, 4.0],
        "meta.<script>": ["x", "y", "z", "ü"],
        "attribute.veil": [True, False, True, False],
    }
    return pd.DataFrame(columns | changed)


def dataset(images: pd.DataFrame) -> ImageDataset:
    return image_dataset(
        images,
        classes=(ClassLabel(key="nv", name="nevus", synonyms=("mole",)), mel),
        rejected=(Rejection(row="e", reason="broken-image", detail="`\\udcff` is no image"),),
        root="/data",
        class_counts={"nv": {"train": 1, "validation": 1, "test": 1}, "mel": {"train": 1}},
        notes=("Something was decided.",),
    )


mel = ClassLabel(key="mel", name="melanoma")


def test_a_dataset_comes_back_as_it_was(tmp_path: Path) -> None:
    before = dataset(table())
    before.write(tmp_path)
    after = ImageDataset.read(tmp_path)
    pd.testing.assert_frame_equal(after.images, before.images, check_dtype=False)
    for name in before.__dataclass_fields__:
        assert name == "images" or getattr(after, name) == getattr(before, name)


def test_equal_datasets_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        dataset(table()).write(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_labels_are_numbers_in_the_order_of_the_classes() -> None:
    found = dataset(table())
    assert found.rows("train").tolist() == [0, 3]
    assert found.labels("train").tolist() == [1, 0]
    assert found.labels("validation").tolist() == [0]
    assert found.attributes == ("veil",)
    truth = found.attribute("veil")
    assert truth.present.tolist() == [True, False, True, False]
    assert truth.known.all()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"label": ["mel", "nv", "nv", "nv"]}, "holds labels of the test split"),
        ({"label": ["mel", None, None, "nv"]}, "has no class, or an unknown one"),
        ({"label": ["mel", None, "bcc", "nv"]}, "has no class, or an unknown one"),
        ({"image_id": ["a", "a", "c", "d"]}, "image ids must be unique"),
        ({"split": ["train", "test", "val", "train"]}, r"unknown splits \['val'\]"),
    ],
)
def test_a_table_that_breaks_a_promise_is_refused(changed: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        dataset(table(**changed))


def test_a_table_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="the image table lacks the columns group"):
        dataset(table().drop(columns="group"))


def test_a_name_alone_stands_for_a_class() -> None:
    spec = DatasetSpec(source=SyntheticSource(), classes={"mel": "melanoma"})
    assert spec.classes["mel"].name == "melanoma"


def test_shares_that_are_not_a_whole_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"train \+ validation \+ test must be 1, not 1\.1"):
        SplitSpec(train=0.7, validation=0.2, test=0.2)


@pytest.mark.parametrize(
    ("path", "is_folder"),
    [("/data/skin", True), ("./skin", True), ("../skin", True), ("user/skin", False)],
)
def test_folders_are_told_from_hub_ids(path: str, is_folder: bool) -> None:
    source = HubSource(kind="hub", path=path)
    assert isinstance(source.path, Path) == is_folder


@pytest.mark.parametrize("path", ["/data/skin", "user/skin"])
def test_folders_and_hub_ids_survive_json(path: str) -> None:
    source = HubSource(kind="hub", path=path)
    assert HubSource.model_validate_json(source.model_dump_json()) == source
    with pytest.raises(ValidationError, match="a hub id or a folder is needed"):
        HubSource(kind="hub", path=3)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"id_column": "text"}, "report_column is also id_column"),
        ({"label_column": "text"}, "report_column is also label_column"),
        ({"attributes": ["text"]}, "report_column is also among `attributes`"),
    ],
)
def test_a_column_of_reports_is_nothing_that_is_published(other: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DatasetSpec(source=SyntheticSource(), report_column="text", **other)


def test_a_spec_without_reports_is_written_as_before_there_were_any() -> None:
    spec = DatasetSpec(source=SyntheticSource())
    assert "report_column" not in spec.model_dump(mode="json")
    named = DatasetSpec(source=SyntheticSource(), report_column="text")
    assert named.model_dump(mode="json")["report_column"] == "text"


def test_a_reference_to_reports_comes_back(tmp_path: Path) -> None:
    before = replace(dataset(table()), reports=Ref(Reports.kind, "1" * 20))
    before.write(tmp_path)
    assert ImageDataset.read(tmp_path).reports == before.reports
