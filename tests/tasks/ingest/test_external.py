"""Another dataset beside the study's own: its classes are the study's, and all of it is test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.images import ImageDataset, TestLabels
from curette.schemas.machine import Machine
from curette.schemas.settings.ingest import DatasetSpec
from curette.storage.store import ArtifactStore
from curette.tasks.ingest import STAGE
from curette.tasks.ingest.claims import TooManyRejected
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.stage import Workplace
from tests.tasks.ingest.conftest import Draw, write_images

_MACHINE = Machine(workers=2)
Read = Callable[..., ImageDataset]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def read(tmp_path: Path, store: ArtifactStore, draw: Draw) -> Read:
    """Read a table beside a study of the classes nv, mel and bcc, whose images are 0 to 17."""

    def table(name: str, columns: dict[str, Any]) -> dict[str, Any]:
        path = tmp_path / f"{name}.parquet"
        pd.DataFrame(columns | {"image": [draw(n) for n in columns["image"]]}).to_parquet(path)
        return {"source": {"kind": "table", "path": path, "image_column": "image"}}

    classes = ["nv", "mel", "bcc"]
    own = table("own", {"image": range(18), "label": classes * 6})
    study = ingest_dataset.fn(Workplace(store, _MACHINE), DatasetSpec(**own))

    def read_beside(columns: dict[str, Any], **fields: Any) -> ImageDataset:
        spec = DatasetSpec(**table("other", columns), id_column="id", **fields)
        return store.load(ImageDataset, ingest_dataset.fn(Workplace(store, _MACHINE), spec, study))

    return read_beside


def _columns(labels: list[str | None], first: int = 100) -> dict[str, Any]:
    numbers = range(first, first + len(labels))
    return {"image": list(numbers), "label": labels, "id": [f"i{n}" for n in numbers]}


def test_every_image_is_a_test_image_and_no_label_stays_with_it(
    read: Read, store: ArtifactStore
) -> None:
    labels = ["nv", "mel", "nv", "mel"]
    named = [f"is {label}" for label in labels]
    found = read(_columns([*labels] * 5) | {"diagnosis": named * 5}, metadata=["diagnosis"])
    assert set(found.images["split"]) == {"test"}
    assert found.images["label"].isna().all()
    assert found.images["meta.diagnosis"].isna().all(), "it tells the class"
    assert found.class_keys == ("bcc", "mel", "nv")
    assert found.class_counts["nv"] == {"train": 0, "validation": 0, "test": 10}
    assert found.class_counts["bcc"] == {"train": 0, "validation": 0, "test": 0}
    held_out = store.load(TestLabels, found.test_labels).labels
    assert held_out == {f"i{100 + n}": labels[n % 4] for n in range(20)}
    assert "All images are test images." in found.notes


def test_labels_are_renamed_and_merged_into_the_studys_classes(
    read: Read, store: ArtifactStore
) -> None:
    found = read(
        _columns(["Common Nevus", "Atypical Nevus", "Melanoma", "bcc"]),
        labels={"Common Nevus": "nv", "Atypical Nevus": "nv", "Melanoma": "mel"},
    )
    held_out = store.load(TestLabels, found.test_labels).labels
    assert list(held_out.values()) == ["nv", "nv", "mel", "bcc"]


def test_what_is_of_no_class_of_the_study_is_rejected_with_that_reason_and_allowed(
    read: Read,
) -> None:
    found = read(_columns(["nv", "mel", "scc", "scc", "scc"]))
    assert [r.reason for r in found.rejected] == ["other-class"] * 3
    assert found.rejected[0].detail == "its label `scc` is no class of the study"
    assert len(found) == 2


def test_images_that_the_study_has_are_rejected_whatever_they_are_called(read: Read) -> None:
    found = read(_columns(["nv", "mel", "bcc"] * 2, first=14))
    assert [(r.row, r.reason) for r in found.rejected] == [
        (f"i{n}", "study-image") for n in range(14, 18)
    ]
    assert found.rejected[0].detail.startswith("the same bytes are `")
    assert found.images["image_id"].tolist() == ["i18", "i19"]


def test_the_same_dataset_is_no_other(read: Read) -> None:
    with pytest.raises(StudyError, match="nothing is left of its 18 images, which are images of"):
        read(_columns(["nv", "mel", "bcc"] * 6, first=0))


def test_strangers_are_told_how_to_say_what_is_what(read: Read) -> None:
    with pytest.raises(
        StudyError,
        match=r"no class in common with the study, .* Its labels are: `Melanoma`, `Nevus`; the "
        r"study's class keys are: `bcc`, `mel`, `nv`. .* say under `labels`",
    ):
        read(_columns(["Melanoma", "Nevus"]))
    with pytest.raises(StudyError, match="only the class `nv` in common"):
        read(_columns(["Melanoma", "nv"]))


def test_a_label_renamed_to_no_class_is_named(read: Read) -> None:
    with pytest.raises(StudyError, match="`labels` names `nevs`, which is no class of the study"):
        read(_columns(["nv", "mel", "Nevus"]), labels={"Nevus": "nevs"})


def test_what_is_wrong_still_counts_as_wrong(read: Read) -> None:
    with pytest.raises(TooManyRejected, match=r"1 of 4 rows were rejected .*: 1 missing-label"):
        read(_columns(["nv", "mel", "scc", None]))


def test_its_own_splits_are_not_used_and_its_subjects_stay_together(
    tmp_path: Path, read: Read, store: ArtifactStore, draw: Draw
) -> None:
    names = [
        f"{split}/{key}/{i}.png" for split in ("train", "test") for key in "ab" for i in (1, 2)
    ]
    root = write_images(tmp_path / "folders", names, draw)
    own = ingest_dataset.fn(
        Workplace(store, _MACHINE), DatasetSpec(source={"kind": "synthetic", "images": 60})
    )
    spec = DatasetSpec(
        source={"kind": "folder", "path": root}, labels={"a": "nevus", "b": "melanoma"}
    )
    found = store.load(ImageDataset, ingest_dataset.fn(Workplace(store, _MACHINE), spec, own))
    assert len(found) == 8
    assert set(found.images["split"]) == {"test"}
    assert "The data's own splits are not used." in found.notes
    assert not found.images["image_id"].str.contains("/").any(), "an id does not tell the class"


def test_the_studys_images_are_part_of_the_key_of_another_dataset(store: ArtifactStore) -> None:
    spec = DatasetSpec(source={"kind": "synthetic", "images": 60})
    studies: list[Ref[ImageDataset]] = [Ref("image-dataset", d * 20) for d in "ab"]
    keys = {
        STAGE.key({"spec": spec, "at": Workplace(store), "beside": beside})
        for beside in (None, *studies)
    }
    assert len(keys) == 3


def test_labels_can_be_merged_in_the_studys_own_dataset_too(
    tmp_path: Path, store: ArtifactStore, draw: Draw
) -> None:
    names = [f"{key}/{i}.png" for key in ("x1", "x2", "y") for i in range(8)]
    root = write_images(tmp_path / "merged", names, draw)
    spec = DatasetSpec(source={"kind": "folder", "path": root}, labels={"x1": "x", "x2": "x"})
    found = store.load(ImageDataset, ingest_dataset.fn(Workplace(store, _MACHINE), spec))
    assert found.class_keys == ("x", "y")
    assert sum(found.class_counts["x"].values()) == 16
    assert not found.images["image_id"].str.contains("/").any()
