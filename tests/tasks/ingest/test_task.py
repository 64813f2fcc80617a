"""The stage as a whole: what it saves, what it leaves behind, and real data."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curette.schemas.artifact import Ref
from curette.schemas.images import ImageDataset, TestLabels
from curette.schemas.machine import Machine
from curette.schemas.settings.ingest import DatasetSpec, FolderSource, SyntheticSource
from curette.storage.images import ImageShelf, image_reader
from curette.storage.store import ArtifactStore
from curette.tasks.ingest import STAGE
from curette.tasks.ingest.claims import TooManyRejected
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.stage import Workplace
from tests.tasks.ingest.conftest import Draw, write_images

MACHINE = Machine(workers=2)
LOCK = ".workshop/.lock"
"""Which is held for moments and never removed."""


def ingest(store: ArtifactStore, **fields: object) -> ImageDataset:
    spec = DatasetSpec.model_validate(fields)
    ref: Ref[ImageDataset] = ingest_dataset.fn(Workplace(store, MACHINE), spec)
    return store.load(ImageDataset, ref)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_dataset_comes_back_from_the_store_and_its_images_can_be_read(
    tmp_path: Path, draw: Draw
) -> None:
    root = write_images(tmp_path / "skin", [f"{c}/{i}.png" for c in "ab" for i in range(6)], draw)
    store = ArtifactStore(tmp_path / "store")
    dataset = ingest(store, source={"kind": "folder", "path": root})
    load = image_reader(dataset, ImageShelf(store.root))
    for place in dataset.images["location"]:
        assert load(place) == (root / place).read_bytes()
    held_out = store.load(TestLabels, dataset.test_labels)
    test_rows = dataset.images["split"] == "test"
    assert set(held_out.labels) == set(dataset.images["image_id"][test_rows])
    folders = dict(zip(dataset.images["image_id"], dataset.images["location"], strict=True))
    assert held_out.labels == {i: folders[i].split("/")[0] for i in held_out.labels}
    assert not any("/" in i for i in dataset.images["image_id"]), "an id does not name the class"


def test_equal_data_is_the_same_artifact_and_another_split_another(
    tmp_path: Path, draw: Draw
) -> None:
    names = [f"{c}/{i}.png" for c in "ab" for i in range(10)]
    source = FolderSource(kind="folder", path=write_images(tmp_path / "skin", names, draw))
    store = ArtifactStore(tmp_path / "store")
    refs = [
        ingest_dataset.fn(
            Workplace(store, MACHINE), DatasetSpec(source=source, splits={"seed": seed})
        )
        for seed in (0, 0, 1)
    ]
    assert refs[0] == refs[1] != refs[2]


def test_nothing_is_left_behind_but_the_artifacts(tmp_path: Path, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", [f"{c}/{i}.png" for c in "ab" for i in range(6)], draw)
    before = files_of(root)
    store = ArtifactStore(tmp_path / "store")
    ingest(store, source={"kind": "folder", "path": root})
    assert files_of(root) == before
    made = files_of(store.root) - {LOCK}
    assert {name.split("/")[0] for name in made} == {"image-dataset", "test-labels"}


def test_a_file_that_changed_is_read_again(tmp_path: Path, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", [f"{c}/{i}.png" for c in "ab" for i in range(6)], draw)
    spec = DatasetSpec(source=FolderSource(kind="folder", path=root))
    store = ArtifactStore(tmp_path / "store")
    key = STAGE.key({"spec": spec, "at": Workplace(store)})
    first = ingest_dataset.fn(Workplace(store, MACHINE), spec)
    (root / "a" / "0.png").write_bytes(draw(77))
    assert STAGE.key({"spec": spec, "at": Workplace(store)}) != key
    assert ingest_dataset.fn(Workplace(store, MACHINE), spec) != first


def test_a_run_that_stops_saves_nothing(tmp_path: Path, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", [f"{c}/{i}.png" for c in "ab" for i in range(6)], draw)
    (root / "a" / "empty.png").write_bytes(b"")
    store = ArtifactStore(tmp_path / "store")
    with pytest.raises(TooManyRejected, match="1 of 13 rows were rejected"):
        ingest(store, source={"kind": "folder", "path": root})
    assert files_of(store.root) == {LOCK}


def test_tables_that_a_killed_run_left_are_removed_by_the_next(tmp_path: Path, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", [f"{c}/{i}.png" for c in "ab" for i in range(6)], draw)
    store = ArtifactStore(tmp_path / "store")
    left = store.root / ".workshop" / "datasets-0123" / "rows.arrow"
    left.parent.mkdir(parents=True)
    left.write_text("a report")
    ingest(store, source={"kind": "folder", "path": root})
    assert not left.exists()


def test_the_recipe_names_the_spec_and_the_test_labels(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    spec = DatasetSpec(source=SyntheticSource(images=50))
    ref = ingest_dataset.fn(Workplace(store, MACHINE), spec)
    recipe = store.manifest(ref).recipe
    assert recipe.stage == "ingest"
    assert recipe.spec == json.loads(spec.model_dump_json())
    assert recipe.inputs == {"test_labels": str(store.load(ImageDataset, ref).test_labels)}


# --- real data ------------------------------------------------------------------------------------


def test_ph2_vectors_with_their_images(tmp_path: Path, shared_data: Path) -> None:
    dataset = ingest(
        ArtifactStore(tmp_path),
        source={
            "kind": "vectors",
            "path": shared_data / "ph2-clip" / "ph2_clip_ViT-B-16.npz",
            "image_folder": shared_data / "ph2-images" / "images",
        },
    )
    totals = {key: sum(counts.values()) for key, counts in dataset.class_counts.items()}
    assert totals == {"nevus": 160, "melanoma": 40}
    assert (dataset.images["location"] == "").sum() == 1  # 199 of the 200 images are there
    assert len(dataset.attributes) == 8
    assert dataset.rejected == ()


def test_some_of_ham10000_by_lesion(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "ham10000"
    dataset = ingest(
        ArtifactStore(tmp_path),
        source={
            "kind": "table",
            "path": folder / "HAM10000_metadata.csv",
            "image_column": "image_id",
            "image_folder": folder / "images",
            "image_suffix": ".jpg",
        },
        label_column="dx",
        id_column="image_id",
        lesion_column="lesion_id",
        metadata=["age"],
        limit=500,
    )
    table = pd.read_csv(folder / "HAM10000_metadata.csv").set_index("image_id")
    images = dataset.images
    assert abs(len(images) - 500) <= 10
    assert images.groupby("lesion")["split"].nunique().max() == 1
    shares = table["dx"].value_counts(normalize=True)
    for key, counts in dataset.class_counts.items():
        assert sum(counts.values()) / len(images) == pytest.approx(shares[key], abs=0.01)
    rows = table.loc[images["image_id"]]
    assert images["meta.age"].equals(rows["age"].reset_index(drop=True))
    known = images["label"].notna().to_numpy()
    assert np.array_equal(images["label"][known], rows["dx"][known])
    assert images["location"].tolist() == [f"{i}.jpg" for i in images["image_id"]]


@pytest.mark.parametrize(
    ("files", "subjects"),
    [
        (
            [f"scan_P1{i // 2:02d}_{i % 2}.png" for i in range(24)],
            [f"P1{i // 2:02d}" for i in range(24)],
        ),
        ([f"{i // 2:03d}-{'lr'[i % 2]}.png" for i in range(24)], [f"{i // 2}" for i in range(24)]),
    ],
)
def test_image_ids_that_hold_patients_go_under_pseudonyms(
    tmp_path: Path, draw: Draw, files: list[str], subjects: list[str]
) -> None:
    write_images(tmp_path / "skin", files, draw)
    rows = [
        f"{f},{'ab'[i // 2 % 2]},{s}" for i, (f, s) in enumerate(zip(files, subjects, strict=True))
    ]
    table = tmp_path / "skin" / "t.csv"
    table.write_text("\n".join(["file,label,patient", *rows]))
    store = ArtifactStore(tmp_path / "store")
    fields = {
        "source": {"kind": "table", "path": table, "image_column": "file"},
        "subject_column": "patient",
    }
    dataset = ingest(store, **fields)
    ids, old = dataset.images["image_id"], dataset.source_ids
    assert set(old) == {f.removesuffix(".png") for f in files}
    assert ids.str.fullmatch(r"image-[0-9a-f]{16}").all()
    assert ids.is_monotonic_increasing
    assert set(dataset.images["group"]) <= set(ids)
    held_out = dataset.images["split"] == "test"
    assert set(store.load(TestLabels, dataset.test_labels).labels) == set(ids[held_out])
    for image, name in zip(ids, old, strict=True):
        assert dataset.id_of(name) == dataset.id_of(image) == image
    assert "Of the images' ids 24 hold the id of their subject, so all ids are" in " ".join(
        dataset.notes
    )
    elsewhere = ingest(ArtifactStore(tmp_path / "other"), **fields)
    assert not {*ids} & {*elsewhere.images["image_id"]}, "another store has another key"


def test_image_ids_that_hold_no_patient_stay(tmp_path: Path, draw: Draw) -> None:
    write_images(tmp_path / "skin", [f"{i}.png" for i in range(24)], draw)
    rows = [f"{i}.png,{'ab'[i // 2 % 2]},{i // 2}" for i in range(24)]
    table = tmp_path / "skin" / "t.csv"
    table.write_text("\n".join(["file,label,patient", *rows]))
    source = {"kind": "table", "path": table, "image_column": "file"}
    dataset = ingest(ArtifactStore(tmp_path / "store"), source=source, subject_column="patient")
    assert set(dataset.images["image_id"]) == {str(i) for i in range(24)}
