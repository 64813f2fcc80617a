"""Each kind of source, written small, is read as what it says."""

import errno
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyarrow import parquet
from pydantic import ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import DatasetSpec, SyntheticSource
from curette.storage.images import ImageShelf, image_reader
from curette.tasks.ingest.claims import TooManyRejected
from curette.tasks.ingest.readers import list_images
from curette.tasks.ingest.synthetic import ATTRIBUTES, generate_images
from curette.tasks.ingest.table_files import check_disk
from tests.tasks.ingest.conftest import (
    Draw,
    Read,
    ReadTable,
    labels,
    reasons,
    set_apart,
    write_images,
)

ALL_MAY_FAIL = 1.0


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_of_class_folders(tmp_path: Path, read: Read, draw: Draw) -> None:
    names = [f"{c}/{i}.png" for c in ("mel", "nv") for i in range(5)]
    root = write_images(tmp_path / "skin", names, draw)
    found = read(source={"kind": "folder", "path": root})
    assert labels(found) == {n.removesuffix(".png"): n.split("/")[0] for n in names}
    assert found.images["location"].tolist() == names
    assert found.root == str(root)
    assert set(found.images["split"]) == {"train", "validation", "test"}
    assert found.rejected == ()


def test_split_folders_are_given_splits(tmp_path: Path, read: Read, draw: Draw) -> None:
    names = [f"{s}/{c}/{i}.png" for s in ("train", "val", "test") for c in "ab" for i in range(3)]
    root = write_images(tmp_path / "skin", names, draw)
    found = read(source={"kind": "folder", "path": root})
    parts = {"train": "train", "val": "validation", "test": "test"}
    assert found.images["split"].tolist() == [
        parts[name.split("/")[0]] for name in found.images["image_id"]
    ]
    assert found.notes == ()


def test_a_class_folder_beside_split_folders_is_not_read_in_silence(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    names = [f"{s}/{c}/{i}.png" for s in ("train", "val", "test") for c in "ab" for i in range(2)]
    root = write_images(tmp_path / "skin", [*names, "extra/a.png"], draw)
    found = read(source={"kind": "folder", "path": root}, max_rejected=ALL_MAY_FAIL)
    assert [r.detail for r in found.rejected] == [
        "it lies in none of the split folders test, train, val"
    ]


def test_file_names_that_sound_like_splits_are_none(tmp_path: Path, read: Read, draw: Draw) -> None:
    # `datasets` alone would call these files the test split and drop all the others.
    names = [f"{c}/{word}_{i}.png" for c in "ab" for word in ("test", "x") for i in range(3)]
    found = read(source={"kind": "folder", "path": write_images(tmp_path / "skin", names, draw)})
    assert len(found.images) == 12
    assert set(found.images["split"]) == {"train", "validation", "test"}


def test_no_file_of_a_folder_is_left_out_in_silence(tmp_path: Path, read: Read, draw: Draw) -> None:
    names = [f"{c}/{i}.png" for c in "ab" for i in range(4)]
    root = write_images(tmp_path / "skin", [*names, "stray.png", "a/deep/c.png"], draw)
    for name in ("README.md", "LICENSE", "a/notes.txt", ".hidden.png", "a/.DS_Store"):
        (root / name).write_bytes(b"paper")
    (root / "a" / "scan.dcm").write_bytes(b"data")
    (root / "a" / "unnamed").write_bytes(b"data")
    (root / "a" / "empty.jpg").write_bytes(b"")
    (root / "elsewhere").symlink_to("/")
    (root / "b" / "passwd.png").symlink_to("/etc/passwd")
    found = read(source={"kind": "folder", "path": root}, max_rejected=ALL_MAY_FAIL)
    assert len(found.images) == 8
    assert reasons(found) == {
        "a/deep/c": "missing-label",
        "a/empty": "empty-file",
        "a/scan": "broken-image",
        "a/unnamed": "unlisted-file",
        "b/passwd": "outside-folder",
        "elsewhere": "unlisted-file",
        "stray": "missing-label",
    }


def test_a_folder_with_metadata(tmp_path: Path, read: Read, draw: Draw) -> None:
    names = [f"images/{i}.png" for i in range(8)]
    root = write_images(tmp_path / "skin", [*names, "images/spare.png"], draw)
    rows = [f"{name},{'ab'[i % 2]},00{i},{i * 1.5}" for i, name in enumerate(names)]
    rows += ["images/gone.png,a,010,1", "../../etc/passwd,a,011,1"]
    (root / "metadata.csv").write_text("file_name,label,patient,age\n" + "\n".join(rows) + "\n")
    found = read(
        source={"kind": "folder", "path": root},
        subject_column="patient",
        metadata=["age"],
        max_rejected=ALL_MAY_FAIL,
    )
    assert found.images["image_id"].tolist() == [f"images/{i}" for i in range(8)]
    assert found.images["subject"].tolist() == [f"00{i}" for i in range(8)]
    assert found.images["meta.age"].tolist() == [i * 1.5 for i in range(8)]
    assert reasons(found) == {
        "../../etc/passwd": "outside-folder",
        "images/gone": "missing-file",
        "images/spare": "unlisted-file",
    }


def test_metadata_in_split_folders(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = tmp_path / "skin"
    for part in ("train", "validation", "test"):
        write_images(root, [f"{part}/{i}.png" for i in range(4)], draw)
        rows = [{"file_name": f"{i}.png", "label": i % 2, "width": i} for i in range(4)]
        pd.DataFrame(rows).to_json(root / part / "metadata.jsonl", orient="records", lines=True)
    found = read(source={"kind": "folder", "path": root}, metadata=["width"])
    assert found.images["split"].value_counts().to_dict() == dict.fromkeys(
        ("train", "validation", "test"), 4
    )
    assert [c.key for c in found.classes] == ["0", "1"]
    assert found.images["meta.width"].dtype == np.int64


def test_a_flat_folder_says_that_there_are_no_class_folders(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = write_images(tmp_path / "skin", [f"{i}.png" for i in range(5)], draw)
    with pytest.raises(TooManyRejected, match="it does not lie directly in a class folder"):
        read(source={"kind": "folder", "path": root})


def test_an_archive_in_a_folder_is_not_unpacked(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", ["a/1.png", "b/2.png"], draw)
    with zipfile.ZipFile(root / "more.zip", "w") as archive:
        archive.writestr("c/3.png", draw(3))
    with pytest.raises(StudyError, match=r"more\.zip is an archive.*Unpack it, or move it out"):
        read(source={"kind": "folder", "path": root})


def test_folders_and_files_with_odd_names(tmp_path: Path, read: Read, draw: Draw) -> None:
    names = [f"{c} *[1]/{i}?[x].png" for c in "ab" for i in range(3)]
    root = write_images(tmp_path / "skin [test] *", names, draw)
    assert len(read(source={"kind": "folder", "path": root}).images) == 6
    path = Path(os.fsdecode(os.fsencode(root) + b"/a *[1]/\xff.png"))
    path.write_bytes(draw(9))
    with pytest.raises(StudyError, match="has a name that is not UTF-8"):
        read(source={"kind": "folder", "path": root})


def test_two_files_that_differ_in_their_ending_keep_it_in_their_ids(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    names = ["a/1.png", "a/1.bmp", "a/2.png", "b/1.png", "b/2.png", "b/3.png"]
    found = read(source={"kind": "folder", "path": write_images(tmp_path / "s", names, draw)})
    assert set(labels(found)) == {"a/1.png", "a/1.bmp", "a/2", "b/1", "b/2", "b/3"}


# --- tables ---------------------------------------------------------------------------------------


def test_a_csv_table_keeps_leading_zeros_and_types(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "images", [f"00{i}.png" for i in range(9)], draw)
    rows = "".join(f"00{i},{i % 3},0{i},{i if i else ''},{i % 2 == 0},3.5,x{i}\n" for i in range(9))
    (tmp_path / "table.csv").write_text("file,dx,patient,age,seen,size,<b>note</b>\n" + rows)
    found = read(
        source={
            "kind": "table",
            "path": tmp_path / "table.csv",
            "image_column": "file",
            "image_folder": root,
            "image_suffix": ".png",
        },
        label_column="dx",
        id_column="file",
        subject_column="patient",
        attributes=["seen"],
        metadata=["age", "size", "<b>note</b>"],
    )
    images = found.images
    assert images["image_id"].tolist() == [f"00{i}" for i in range(9)]
    assert images["location"].tolist() == [f"00{i}.png" for i in range(9)]
    assert images["subject"].tolist() == [f"0{i}" for i in range(9)]
    assert [c.key for c in found.classes] == ["0", "1", "2"]
    assert images["attribute.seen"].tolist() == [i % 2 == 0 for i in range(9)]
    assert images["meta.age"].tolist()[1:] == list(range(1, 9))
    assert images["meta.size"].dtype == np.float64
    assert images["meta.<b>note</b>"].tolist() == [f"x{i}" for i in range(9)]
    assert [c for c in images.columns if c.startswith("meta.")] == [
        "meta.age",
        "meta.size",
        "meta.<b>note</b>",
    ]


def _named(folder: Path, names: Sequence[str], **source: object) -> dict[str, object]:
    """Write a table of these paths, two classes by turns, and return it as a source."""
    rows = [f"{name},{'ab'[row % 2]}" for row, name in enumerate(names)]
    (folder / "table.csv").write_text("\n".join(["file,label", *rows]))
    return {"kind": "table", "path": folder / "table.csv", "image_column": "file", **source}


def test_files_of_several_folders_are_found_by_their_names_alone(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    names = [f"images_{i % 3:03}/images/{i:03}.jpg" for i in range(9)]
    write_images(tmp_path, [*names, "masks/000.jpg", ".cache/000.jpg", "@eaDir/001.jpg"], draw)
    (tmp_path / "more").symlink_to(write_images(tmp_path.parent / "outside", ["002.jpg"], draw))
    source = _named(tmp_path, [f"{i:03}" for i in range(9)], image_suffix=".jpg")
    found = read(source=source)
    assert sorted(found.images["location"]) == sorted(names)
    assert any("9 paths were read in whichever folder" in note for note in found.notes)


def test_a_name_that_two_folders_hold_is_told_with_both_unless_they_are_equal(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    write_images(tmp_path, [f"part_{i % 2}/{i}.png" for i in range(6)], draw)
    source = _named(tmp_path, [f"{i}.png" for i in range(6)])
    (tmp_path / "part_1" / "0.png").write_bytes((tmp_path / "part_0" / "0.png").read_bytes())
    found = read(source=source)
    assert sorted(found.images["location"]) == sorted(f"part_{i % 2}/{i}.png" for i in range(6))
    (tmp_path / "part_1" / "0.png").write_bytes(draw(77))
    with pytest.raises(StudyError, match=r"`0.png` is: `part_0/0.png` and `part_1/0.png`"):
        read(source=source)


def test_an_image_missing_among_others_is_looked_for_nowhere_else(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    write_images(tmp_path, [*(f"{i}.png" for i in range(1, 6)), "augmented/0.png"], draw)
    source = _named(tmp_path, [f"{i}.png" for i in range(6)])
    found = read(source=source, max_rejected=ALL_MAY_FAIL)
    assert [(r.row, r.reason) for r in found.rejected] == [("0", "missing-file")]


@pytest.mark.parametrize("parting", ["/", "\\"])
def test_paths_may_begin_with_a_folder_that_is_not_there(
    tmp_path: Path, read: Read, draw: Draw, parting: str
) -> None:
    names = [f"train/patient{i}/view.jpg" for i in range(6)]
    write_images(tmp_path, names, draw)
    paths = [parting.join(["CheXpert-v1.0-small", *name.split("/")]) for name in names]
    found = read(source=_named(tmp_path, paths))
    assert found.images["location"].tolist() == names
    assert any("`CheXpert-v1.0-small`, which is not there" in note for note in found.notes)


def test_images_of_one_split_are_not_taken_for_those_of_another(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    write_images(tmp_path / "test", [f"{i}.png" for i in range(6)], draw)
    paths = [f"train/{i}.png" for i in range(6)]
    with pytest.raises(StudyError, match="6 missing-file"):
        read(source=_named(tmp_path, paths, image_folder=tmp_path / "test"))


def test_a_first_folder_that_is_left_out_leads_nowhere_else(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = tmp_path / "set"
    write_images(tmp_path, [f"{i}.png" for i in range(6)], draw)
    root.mkdir()
    with pytest.raises(StudyError, match="6 outside-folder"):
        read(source=_named(root, [f"set/../{i}.png" for i in range(6)]))


def test_each_class_may_have_a_column_of_its_own(read_table: ReadTable) -> None:
    """As in the ground truth of ISIC's challenges: of each row one column is 1."""
    rows = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)] * 4
    rows += [(0.0, 0.0, 0.0), (1.0, 1.0, 0.0)]
    marks = dict(zip(("MEL", "NV", "UNK"), zip(*rows, strict=True), strict=True))
    ids = [f"r{row:02}" for row in range(len(rows))]
    found = read_table(
        {"id": ids, **marks},
        id_column="id",
        label_columns=["MEL", "NV", "UNK"],
        labels={"UNK": "other"},
        max_rejected=0.2,
    )
    expected = ("MEL", "NV", "other")
    assert labels(found) == {name: expected[row % 3] for row, name in enumerate(ids[:12])}
    assert reasons(found) == {"r12": "missing-label", "r13": "missing-label"}
    assert {r.detail for r in found.rejected} == {"not exactly one of its `label_columns` is 1"}
    assert not {*marks} & {*found.images.columns}
    with pytest.raises(
        StudyError, match=r"`MEL` .* cells that are none of 1, 0, .* `maybe` in row"
    ):
        read_table({"MEL": ["1", "maybe"], "NV": ["0", "1"]}, label_columns=["MEL", "NV"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"label_columns": ["a"]}, "at least two"),
        ({"label_columns": ["a", "a"]}, "at least two"),
        ({"label_columns": ["a", "b"], "label_column": "dx"}, "so does label_column"),
        ({"label_columns": ["a", "b"], "findings": {"c": "c"}}, "so does findings"),
        ({"label_columns": ["a", "b"], "metadata": ["b"]}, "b is among `label_columns` and"),
    ],
)
def test_columns_of_classes_are_nothing_else(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DatasetSpec.model_validate({"source": {"kind": "synthetic"}, **wrong})


def test_a_parquet_table_with_the_bytes_in_it(
    tmp_path: Path, store_root: Path, read: Read, draw: Draw
) -> None:
    table = pd.DataFrame(
        {
            "image": [draw(i) for i in range(8)],
            "label": ["a", "b"] * 4,
            "taken": pd.date_range("2020-01-01", periods=8),
            "count": range(8),
            "list": [[1, 2]] * 8,
        }
    )
    table.to_parquet(tmp_path / "table.parquet")
    found = read(
        source={"kind": "table", "path": tmp_path / "table.parquet", "image_column": "image"},
        metadata=["taken", "count", "list"],
    )
    assert found.root == ""
    images = set_apart(found)
    load = image_reader(images, ImageShelf(store_root))
    assert [load(place) for place in images.images["location"]] == [draw(i) for i in range(8)]
    assert found.images["meta.taken"].tolist() == table["taken"].tolist()
    assert found.images["meta.count"].tolist() == list(range(8))
    assert found.notes == ("Columns of lists, bytes or pictures were left out: `list`.",)


def test_a_column_that_turns_to_text_late_is_text_throughout(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = write_images(tmp_path / "images", [f"{i}.png" for i in range(6)], draw)
    rows = [f"{i % 6}.png,{'ab'[i % 2]},{i}" for i in range(11_000)]  # beyond a chunk of 10,000
    (root / "table.csv").write_text("\n".join(["file,label,note", *rows, "5.png,b,late"]))
    source = {"kind": "table", "path": root / "table.csv", "image_column": "file"}
    found = read(source=source, limit=60, max_rejected=ALL_MAY_FAIL, metadata=["note"])
    assert str(found.images["meta.note"].dtype) == "str"


def test_numbered_files_of_a_parquet_table(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "images [1]", [f"{i}.png" for i in range(6)], draw)
    path = root / "table [2].parquet"
    pd.DataFrame({"number": range(6), "label": pd.Categorical(["a", "b"] * 3)}).to_parquet(path)
    source = {"kind": "table", "path": path, "image_column": "number", "image_suffix": ".png"}
    assert len(read(source=source).images) == 6


def test_a_link_to_a_folder_of_images_is_as_good_as_the_folder(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    names = [f"{c}/{i}.png" for c in "ab" for i in range(3)]
    (tmp_path / "link").symlink_to(write_images(tmp_path / "skin", names, draw))
    found = read(source={"kind": "folder", "path": tmp_path / "link"})
    assert found.images["location"].tolist() == names


def test_a_table_without_a_column_names_those_it_has(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    (tmp_path / "table.csv").write_text("file,dx\na.png,mel\n")
    with pytest.raises(StudyError) as error:
        read(
            source={"kind": "table", "path": tmp_path / "table.csv", "image_column": "file"},
            lesion_column="lesion",
        )
    assert str(error.value) == (
        "the table table.csv has no column `label`, `lesion`. Its columns are: `file`, `dx`. "
        "Correct the column names under `dataset` in the study file."
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "cannot be read: No columns to parse"),
        (b"file,label\n", "cannot be read"),
        (b"file,label\n1,2\n1,2,3\n", "cannot be read: Error tokenizing data"),
        (b"file,label\n\xe9\xe8\xe7\xe6,2\n", "is not UTF-8, and not Western text"),
    ],
    ids=["empty", "header only", "ragged", "cyrillic"],
)
def test_a_broken_table_is_explained(
    tmp_path: Path, read: Read, content: bytes, expected: str
) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(StudyError, match=expected):
        read(source={"kind": "table", "path": tmp_path / "table.csv", "image_column": "file"})


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "folder", "path": "/nowhere/at/all"},
        {"kind": "table", "path": "/nowhere/at/all.csv", "image_column": "file"},
        {"kind": "hub", "path": "/nowhere/at/all"},
        {"kind": "npz", "path": "/nowhere/at/all.npz"},
        {"kind": "vectors", "path": "/nowhere/at/all.npz"},
    ],
)
def test_a_source_that_is_not_there_is_named(read: Read, source: dict[str, str]) -> None:
    with pytest.raises(StudyError, match=r"there is no (file|folder) /nowhere/at/all"):
        read(source=source)


# --- the hub's layout -----------------------------------------------------------------------------


def hub_folder(root: Path, draw: Draw, **parts: int) -> Path:
    """Write Parquet shards as a hub repository has them."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["nevus", "melanoma"]),
            "patient": datasets.Value("int64"),
            "age": datasets.Value("int32"),
        }
    )
    (root / "data").mkdir(parents=True)
    (root / "README.md").write_text("---\nlicense: mit\n---\n")
    start = 0
    for part, count in parts.items():
        numbers = range(start, start + count)
        start += count
        rows = {
            "image": [{"bytes": draw(i), "path": f"IMG_{i}.png"} for i in numbers],
            "label": [i % 2 if i < 100 else -1 for i in numbers],
            "patient": [i // 2 for i in numbers],
            "age": [40 + i for i in numbers],
        }
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(str(root / "data" / f"{part}-00000-of-00001.parquet"))
    return root


def forge(root: Path, images: dict[int, dict[str, Any] | None], cache: Path) -> None:
    """Replace images of the training shard by what nobody would write in good faith."""
    shard = root / "data" / "train-00000-of-00001.parquet"
    table = datasets.Dataset.from_parquet(str(shard), cache_dir=str(cache / "cache"))
    rows = table.cast_column("image", datasets.Image(decode=False)).to_list()
    for row, image in images.items():
        rows[row]["image"] = image
    forged = datasets.Dataset.from_list(rows, features=table.features)
    parquet.write_table(forged.data.table, shard)  # `to_parquet` would read the files in


def test_a_hub_folder_with_its_splits(
    tmp_path: Path, store_root: Path, read: Read, draw: Draw
) -> None:
    root = hub_folder(tmp_path / "hub", draw, train=20, test=4)
    source = {"kind": "hub", "path": root}
    found = read(source=source, subject_column="patient", metadata=["age"])
    splits = dict(zip(found.images["image_id"], found.images["split"], strict=True))
    assert [splits[f"IMG_{i}"] for i in range(20, 24)] == ["test"] * 4
    assert {splits[f"IMG_{i}"] for i in range(20)} == {"train", "validation"}
    assert sum(splits[f"IMG_{i}"] == "validation" for i in range(20)) in (4, 6)  # 5, by pairs
    assert found.notes == ("The data gives no validation split: cut out of train.",)
    assert labels(found)["IMG_3"] == "melanoma"
    assert found.images["meta.age"].dtype == np.int32
    where = dict(zip(found.images["image_id"], found.images["location"], strict=True))
    assert ImageShelf(store_root).get(where["IMG_7"].removeprefix("shelf:")) == draw(7)


HUB_CLASSES = ("None", "NA", "null", "02")
CLASS_LABEL = (
    "dataset_info: {features: [{name: image, dtype: image}, {name: patient, dtype: string}, "
    "{name: age, dtype: float64}, {name: label, dtype: {class_label: {names: "
    "{'0': None, '1': NA, '2': 'null', '3': '02'}}}}]}\n"
)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        *((name, "") for name in ("metadata.csv", "metadata.jsonl", "packed.zip")),
        *((f"train.{end}", f) for end in ("csv", "tsv", "json") for f in ("", CLASS_LABEL)),
    ],
)
def test_a_text_of_the_hub_keeps_its_labels(
    tmp_path: Path, read: Read, draw: Draw, name: str, features: str
) -> None:
    """Only empty cells are missing, whichever reader of `datasets` meets them."""
    root = write_images(tmp_path / "hub", [f"p/{i}.png" for i in range(25)], draw)
    column = "image" if name.startswith("train") else "file_name"
    rows = [
        {column: f"p/{i}.png", "patient": f"0{i}", "age": ("", "NA", "3")[i % 3], "label": label}
        for i, label in enumerate([*HUB_CLASSES, ""] * 5)
    ]
    cells = [[*rows[0]], *([*row.values()] for row in rows)]
    csv = "".join(",".join(row) + "\n" for row in cells)
    if name == "packed.zip":
        with zipfile.ZipFile(root / name, "w") as archive:
            archive.writestr("metadata.csv", csv)
            for row in rows:
                archive.write(root / row[column], row[column])
        shutil.rmtree(root / "p")
    elif name.endswith("sv"):
        (root / name).write_text(csv.replace(",", "\t") if name.endswith("tsv") else csv)
    else:
        values = [
            {**row, "label": row["label"] or None, "age": 3.0 if row["age"] == "3" else None}
            for row in rows
        ]
        (root / name).write_text("".join(json.dumps(row) + "\n" for row in values))
    files = f"configs: [{{config_name: default, data_files: {name}}}]\n"
    if column == "image":
        (root / "README.md").write_text(f"---\n{files}{features}---\n")
    found = read(
        source={"kind": "hub", "path": root},
        max_rejected=1,
        subject_column="patient",
        metadata=["age"],
    )
    assert [c.key for c in found.classes] == ["02", "NA", "None", "null"]
    assert list(reasons(found).values()) == ["missing-label"] * 5
    assert {*found.images["subject"]} == {f"0{i}" for i in range(25) if i % 5 != 4}
    assert found.images["meta.age"].dtype == np.float64  # of other columns `NA` stays nothing


def test_a_table_beside_images_of_the_hub_is_named(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "hub", [f"p/{i}.png" for i in range(4)], draw)
    (root / "labels.csv").write_text("image,label\np/0.png,x\n")
    with pytest.raises(StudyError, match=r"no column `label`.*for labels\.csv, use `kind: table`"):
        read(source={"kind": "hub", "path": root})


def test_archives_of_class_folders_are_to_be_unpacked(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    (tmp_path / "hub").mkdir()
    with zipfile.ZipFile(tmp_path / "hub" / "train.zip", "w") as archive:
        for i in range(8):
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", draw(i))
    with pytest.raises(StudyError, match="unpack them into class folders"):
        read(source={"kind": "hub", "path": tmp_path / "hub"})


def test_labels_that_the_hub_keeps_back_are_missing(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = hub_folder(tmp_path / "hub", draw, train=102)  # from 100 on the label is -1
    found = read(source={"kind": "hub", "path": root}, max_rejected=0.02)
    assert reasons(found) == dict.fromkeys(["IMG_100", "IMG_101"], "missing-label")


def test_paths_in_a_hub_table_cannot_point_elsewhere(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = hub_folder(tmp_path / "hub", draw, train=10)
    (tmp_path / "private.png").write_bytes(draw(99))
    paths = [str(tmp_path / "private.png"), "../private.png", "nul\0.png"]
    images = {i: {"bytes": None, "path": path} for i, path in enumerate(paths)}
    forge(root, {**images, 3: None}, tmp_path)
    found = read(source={"kind": "hub", "path": root}, max_rejected=ALL_MAY_FAIL)
    assert sorted(reasons(found).values()) == [
        "missing-file",
        "missing-file",
        "outside-folder",
        "outside-folder",
    ]


def test_images_in_an_archive_of_the_hub_go_to_the_shelf(
    tmp_path: Path, store_root: Path, read: Read, draw: Draw
) -> None:
    root = tmp_path / "hub"
    root.mkdir()
    rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(6))
    with zipfile.ZipFile(root / "data.zip", "w") as archive:
        archive.writestr("metadata.csv", "file_name,label\n" + rows)
        for i in range(6):
            archive.writestr(f"{i}.png", draw(i))
    found = read(source={"kind": "hub", "path": root})
    assert found.images["image_id"].tolist() == [f"data/{i}" for i in range(6)]
    shelf = ImageShelf(store_root)
    places = found.images["location"].str.removeprefix("shelf:")
    assert [shelf.get(place) for place in places] == [draw(i) for i in range(6)]


def test_archives_named_in_a_hub_table_must_be_its_own(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = hub_folder(tmp_path / "hub", draw, train=10)
    inside, outside = root / "own.zip.bin", tmp_path / "other.zip"
    for path in (inside, outside):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.png", draw(99))
            archive.writestr("y.png", draw(98))
    urls = [f"zip://x.png::{inside}", f"zip://y.png::{outside}", f"zip://gone.png::{inside}"]
    forge(root, {i: {"bytes": None, "path": url} for i, url in enumerate(urls)}, tmp_path)
    found = read(source={"kind": "hub", "path": root}, max_rejected=ALL_MAY_FAIL)
    assert len(found.images) == 8
    assert reasons(found) == {
        "other/y": "unreadable-file",
        "own.zip/gone": "unreadable-file",
    }


def test_a_folder_may_have_brackets_in_its_name(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = hub_folder(tmp_path / "data [v2] *", draw, train=10)
    assert len(read(source={"kind": "hub", "path": root}).images) == 10


@pytest.mark.parametrize("splits", [True, False])
def test_what_datasets_saved_to_disk(tmp_path: Path, read: Read, draw: Draw, splits: bool) -> None:
    root = hub_folder(tmp_path / "hub", draw, train=12, test=4)
    loaded = datasets.load_dataset(str(root), cache_dir=str(tmp_path / "cache"))
    (loaded if splits else loaded["train"]).save_to_disk(str(tmp_path / "saved"))
    found = read(source={"kind": "hub", "path": tmp_path / "saved"})
    assert len(found.images) == (16 if splits else 12)
    assert labels(found)["IMG_3"] == "melanoma"


def test_a_column_that_holds_no_images_is_named(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = hub_folder(tmp_path / "hub", draw, train=4)
    with pytest.raises(StudyError, match=r"the column `age` holds int32, not images"):
        read(source={"kind": "hub", "path": root, "image_column": "age"})


# --- archives -------------------------------------------------------------------------------------


def archive(path: Path, channels: tuple[int, ...] = (3,)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for part, count in (("train", 12), ("val", 6), ("test", 6)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 28, 28, *channels), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8).reshape(-1, 1) % 3
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return arrays


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)))


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_an_archive_gives_back_its_pixels(
    tmp_path: Path, store_root: Path, read: Read, channels: tuple[int, ...]
) -> None:
    arrays = archive(tmp_path / "mnist.npz", channels)
    found = read(
        source={"kind": "npz", "path": tmp_path / "mnist.npz", "class_names": tuple("xyz")}
    )
    assert [c.key for c in found.classes] == ["x", "y", "z"]
    assert len(found.images) == 24
    for row in found.images.itertuples():
        part, number = str(row.image_id).split("-")
        content = ImageShelf(store_root).get(str(row.location).removeprefix("shelf:"))
        assert (pixels_of(content) == arrays[f"{part}_images"][int(number)].squeeze()).all()
        assert row.label == "xyz"[int(number) % 3]
        assert row.split == {"val": "validation"}.get(part, part)


def test_a_limit_reads_only_the_drawn_images_of_an_archive(
    tmp_path: Path, store_root: Path, read: Read
) -> None:
    arrays = archive(tmp_path / "mnist.npz")
    found = read(source={"kind": "npz", "path": tmp_path / "mnist.npz"}, limit=12)
    assert 10 <= len(found.images) <= 14
    assert found.notes[0] == f"{len(found.images)} of 24 listed images were drawn."
    for row in found.images.itertuples():
        part, number = str(row.image_id).split("-")
        content = ImageShelf(store_root).get(str(row.location).removeprefix("shelf:"))
        assert (pixels_of(content) == arrays[f"{part}_images"][int(number)]).all()
        assert row.label == str(arrays[f"{part}_labels"][int(number), 0])


def test_an_archive_of_giant_images_is_not_unpacked(tmp_path: Path, read: Read) -> None:
    header = BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (4, 60_000, 60_000)}
    np.lib.format.write_array_header_1_0(header, shape)
    labels_file = BytesIO()
    np.save(labels_file, np.array([0, 1, 0, 1], dtype=np.uint8))
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as bomb:
        bomb.writestr("train_images.npy", header.getvalue())  # it only says that it is large
        bomb.writestr("train_labels.npy", labels_file.getvalue())
    with pytest.raises(TooManyRejected, match="4 too-many-pixels"):
        read(source={"kind": "npz", "path": tmp_path / "mnist.npz"})


def test_an_archive_that_breaks_off_refuses_the_rest(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "mnist.npz"
    archive(path)
    with zipfile.ZipFile(path) as whole:
        place = whole.getinfo("val_images.npy").header_offset + 2000
    content = bytearray(path.read_bytes())
    content[place : place + 50] = bytes(50)
    path.write_bytes(bytes(content))
    with pytest.raises(TooManyRejected) as error:
        read(source={"kind": "npz", "path": path})
    assert {r.reason for r in error.value.rejected} == {"broken-image"}
    assert {r.row.split("-")[0] for r in error.value.rejected} == {"val"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"train_labels": np.zeros((12, 14), np.uint8)}, "Images of several classes at once"),
        ({"train_labels": np.zeros((11, 1), np.uint8)}, "12 train_images but 11 train_labels"),
        ({"train_labels": np.array([None] * 12)}, "cannot be read as an .npz archive"),
        ({"train_images": np.zeros((12, 9, 9), np.int64)}, r"int64 of shape \(12, 9, 9\)"),
        ({"train_images": np.full((12, 9, 9), 200.0)}, "numbers from 200 to 200, and nothing says"),
        ({"train_images": np.zeros((12, 9, 9, 9), np.uint8)}, r"shape \(12, 9, 9, 9\)"),
    ],
)
def test_an_archive_of_another_layout_is_explained(
    tmp_path: Path, read: Read, changed: dict[str, np.ndarray], expected: str
) -> None:
    arrays = archive(tmp_path / "mnist.npz") | changed
    np.savez(tmp_path / "mnist.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match=expected):
        read(source={"kind": "npz", "path": tmp_path / "mnist.npz"})


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floating_point_pictures_are_those_of_their_levels(
    tmp_path: Path, store_root: Path, read: Read, kind: type
) -> None:
    arrays = archive(tmp_path / "mnist.npz")
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = (arrays[f"{part}_images"] / 255).astype(kind)
    np.savez(tmp_path / "mnist.npz", **arrays)  # type: ignore[arg-type]
    found = read(source={"kind": "npz", "path": tmp_path / "mnist.npz"})
    content = ImageShelf(store_root).get(found.images["location"][0].removeprefix("shelf:"))
    part, number = found.images["image_id"][0].split("-")
    levels = arrays[f"{part}_images"][int(number)].astype(float) * 255
    assert np.abs(pixels_of(content) - levels).max() <= 0.51


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (
            np.arange(12) % 3 + 1,
            "xyz",
            "run from 1 to 3, but 3 class_names stand for 0 to 2.*Su",
        ),
        (np.arange(12) % 3, "xy", "run from 0 to 2, but 2 class_names stand for 0 to 1.*Correct"),
        (np.arange(12) % 3 - 1, "xyz", "run from -1 to 1"),
        (np.arange(12) % 3, "120", "class_names of .* are numbers that are not their places"),
        (np.eye(3, dtype=int)[np.arange(12) % 3] * 2, "xyz", "several classes at once"),
        (np.arange(12) % 3 + 0.5, "xyz", "one whole number an image is needed"),
    ],
)
def test_labels_that_do_not_fit_their_names_are_refused(
    tmp_path: Path, read: Read, labels: np.ndarray, names: str, expected: str
) -> None:
    arrays = archive(tmp_path / "mnist.npz") | {"train_labels": labels}
    np.savez(tmp_path / "mnist.npz", **arrays)  # type: ignore[arg-type]
    source = {"kind": "npz", "path": tmp_path / "mnist.npz", "class_names": tuple(names)}
    with pytest.raises(StudyError, match=expected):
        read(source=source)


@pytest.mark.parametrize(
    "write",
    [
        lambda numbers: np.eye(3, dtype=np.uint8)[numbers],
        lambda numbers: np.eye(3)[numbers].astype(bool),
        lambda numbers: numbers.astype(float),
        lambda numbers: np.array(list("xyz"))[numbers],
        lambda numbers: np.array([b"x", b"y", b"z"])[numbers].reshape(-1, 1),
    ],
    ids=["one-hot", "one-hot of truths", "floats", "names", "names in bytes"],
)
def test_labels_in_other_forms_say_the_same(tmp_path: Path, read: Read, write: Any) -> None:
    arrays = archive(tmp_path / "mnist.npz")
    for part in ("train", "val", "test"):
        arrays[f"{part}_labels"] = write(arrays[f"{part}_labels"][:, 0])
    np.savez(tmp_path / "mnist.npz", **arrays)  # type: ignore[arg-type]
    source = {"kind": "npz", "path": tmp_path / "mnist.npz", "class_names": tuple("xyz")}
    found = labels(read(source=source))
    assert found == {i: "xyz"[int(i.split("-")[1]) % 3] for i in found}


# --- vectors --------------------------------------------------------------------------------------


def vectors(path: Path, count: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "image_ids": np.array([f"IMD{i:03d}" for i in range(count)]),
        "image_embeddings": rng.normal(size=(count, 4)).astype(np.float32),
        "labels": np.arange(count) % 2,
        "class_names": np.array(["nevus", "melanoma"]),
        "concept_names": np.array(["veil", "depth_mm"]),
        "concept_labels": np.column_stack([np.arange(count) % 3 == 0, np.arange(count) / 2]),
        "patient": np.arange(count) // 2,
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return arrays


@pytest.mark.parametrize("kind", ["S", "U"])
def test_ids_and_names_may_be_bytes(tmp_path: Path, read: Read, kind: str) -> None:
    arrays = vectors(tmp_path / "v.npz")
    arrays |= {key: arrays[key].astype(kind) for key in ("image_ids", "class_names")}
    np.savez(tmp_path / "v.npz", **arrays)  # type: ignore[arg-type]
    found = read(source={"kind": "vectors", "path": tmp_path / "v.npz"})
    assert found.images["image_id"][0] == "IMD000"
    assert [c.key for c in found.classes] == ["nevus", "melanoma"]


def test_vectors_alone(tmp_path: Path, read: Read) -> None:
    vectors(tmp_path / "v.npz")
    source = {"kind": "vectors", "path": tmp_path / "v.npz"}
    found = read(source=source, subject_column="patient", metadata=["depth_mm"])
    images = found.images
    assert (images["location"] == "").all()
    assert images["sha256"].is_unique
    assert [c.key for c in found.classes] == ["nevus", "melanoma"]
    assert images["attribute.veil"].tolist() == [i % 3 == 0 for i in range(12)]
    assert images["meta.depth_mm"].tolist() == [i / 2 for i in range(12)]
    assert images.groupby("subject")["split"].nunique().max() == 1
    assert found.notes == ("Only vectors are known, no pixels.",)


def test_a_vector_without_its_image_stays(tmp_path: Path, read: Read, draw: Draw) -> None:
    vectors(tmp_path / "v.npz")
    folder = write_images(tmp_path / "images", [f"IMD{i:03d}.jpg" for i in range(11)], draw)
    source = {"kind": "vectors", "path": tmp_path / "v.npz", "image_folder": folder}
    found = read(source=source, metadata=["depth_mm", "patient"])
    assert found.images["location"].tolist() == [f"IMD{i:03d}.jpg" for i in range(11)] + [""]
    assert found.notes[0] == "1 of 12 images have no file: their vectors are used as they are."
    with pytest.raises(StudyError, match=r"holds no image of .*Correct `image_folder` or"):
        read(source={**source, "image_suffix": ".tif"})


def test_ids_of_vectors_cannot_lead_out_of_the_image_folder(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    arrays = vectors(tmp_path / "v.npz")
    folder = write_images(tmp_path / "images", [f"IMD{i:03d}.jpg" for i in range(12)], draw)
    (tmp_path / "x.jpg").write_bytes(draw(50))
    arrays["image_ids"] = np.array(["../x", *arrays["image_ids"][1:]])
    np.savez(tmp_path / "v.npz", **arrays)  # type: ignore[arg-type]
    found = read(
        source={"kind": "vectors", "path": tmp_path / "v.npz", "image_folder": folder},
        max_rejected=ALL_MAY_FAIL,
    )
    assert reasons(found) == {"../x": "outside-folder"}


@pytest.mark.parametrize("key", ["image_ids", "image_embeddings", "labels", "concept_names"])
def test_vectors_that_lack_an_array_are_explained(tmp_path: Path, read: Read, key: str) -> None:
    arrays = vectors(tmp_path / "v.npz")
    del arrays[key]
    np.savez(tmp_path / "v.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match=f"has no array {key}; it has"):
        read(source={"kind": "vectors", "path": tmp_path / "v.npz"})


# --- synthetic ------------------------------------------------------------------------------------


def test_the_synthetic_dataset_keeps_what_it_was_drawn_from(store_root: Path, read: Read) -> None:
    found = read(source={"kind": "synthetic", "images": 50, "seed": 3})
    assert found.synthetic
    drawn = {image.image_id: image for image in generate_images(50, 3)}
    shelf = ImageShelf(store_root)
    assert set(drawn) == set(found.images["image_id"])
    for row in found.images.to_dict("records"):
        image = drawn[row["image_id"]]
        assert row["label"] == image.label
        assert (row["subject"], row["lesion"]) == (image.subject, image.lesion)
        assert shelf.get(row["location"].removeprefix("shelf:")) == image.png
        assert shelf.get(row["mask_location"].removeprefix("shelf:")) == image.mask_png
        assert {a: row[f"attribute.{a}"] for a in ATTRIBUTES} == dict(image.attributes)
        assert (row["meta.skin_tone"], row["meta.ruler"]) == (image.skin_tone, image.ruler)
    assert found.images.groupby("subject")["split"].nunique().max() == 1


# --- disks ----------------------------------------------------------------------------------------


def test_a_full_disk_is_not_taken_for_bad_data(tmp_path: Path) -> None:
    @contextmanager
    def full(description: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda count: None
        raise OSError(errno.ENOSPC, "No space left on device")

    spec = DatasetSpec(source=SyntheticSource(images=50))
    with pytest.raises(OSError, match="No space left"):
        list_images(spec, tmp_path, full)


def test_neither_is_one_that_a_library_wraps() -> None:
    def wrapped(number: int) -> Exception:
        try:
            try:
                raise OSError(number, "told")
            except OSError as error:
                raise ValueError("An error occurred while generating the dataset") from error
        except ValueError as error:
            return error

    with pytest.raises(OSError, match="told"):
        check_disk(wrapped(errno.ENOSPC))
    check_disk(wrapped(errno.ENOENT))
