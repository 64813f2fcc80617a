"""What is rejected and why, how images are split, and where test labels are not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.images import ClassLabel, Reports, TestLabels, Truth
from curette.schemas.settings.ingest import SplitSpec
from curette.tasks.ingest.claims import TooManyRejected
from curette.tasks.ingest.dataset import LabelledImages, choose_splits
from tests.tasks.ingest.conftest import (
    Draw,
    Read,
    ReadTable,
    labels,
    reasons,
    set_apart,
    write_images,
)

# --- rejections -----------------------------------------------------------------------------------


def test_rows_that_say_too_little_or_nonsense_are_rejected_by_name(read_table: ReadTable) -> None:
    good = [(f"g{i}", "xy"[i % 2], ("train", "val", "test")[i // 2]) for i in range(6)]
    bad = [
        (None, "x", "train"),
        ("b1", None, "train"),
        ("b2", "NA", "train"),
        ("b3", "z", "train"),
        ("b4", "x", "holdout"),
        ("b5", "x", None),
    ]
    ids, keys, parts = zip(*good, *bad, strict=True)
    found = read_table(
        {"id": ids, "label": keys, "part": parts},
        id_column="id",
        split_column="part",
        classes={"x": "X", "y": "Y"},
        max_rejected=1,
    )
    assert found.images["image_id"].tolist() == [f"g{i}" for i in range(6)]
    assert reasons(found) == {
        "row-6": "missing-id",
        "b1": "missing-label",
        "b2": "unknown-label",
        "b3": "unknown-label",
        "b4": "unknown-split",
        "b5": "unknown-split",
    }
    details = {r.row: r.detail for r in found.rejected}
    assert details["b3"] == "its label `z` is none of x, y"
    assert details["b4"] == "its split `holdout` is none of train, validation, test"


def test_equal_bytes_under_two_labels_are_all_rejected(read_table: ReadTable) -> None:
    found = read_table(
        {
            "id": [f"i{i}" for i in range(12)],
            "image": [0, 0, 0, 3, 3, *range(5, 12)],
            "label": ["x", "y", "x", "x", "x", *"xyxyxyx"],
        },
        id_column="id",
        max_rejected=1,
    )
    assert reasons(found) == dict.fromkeys(["i0", "i1", "i2"], "conflicting-labels")
    assert found.rejected[0].detail == "the same bytes are `i0` as `x`, `i1` as `y`, `i2` as `x`"
    # i3 and i4 are equal under one label: both stay, and together.
    twins = found.images.set_index("image_id").loc[["i3", "i4"]]
    assert twins["group"].nunique() == twins["split"].nunique() == 1


def test_an_id_for_two_images_is_rejected_and_one_image_listed_twice_is_kept_once(
    read_table: ReadTable,
) -> None:
    found = read_table(
        {
            "id": ["twice", "twice", "two", "two", *(f"i{i}" for i in range(8))],
            "image": [0, 0, 2, 3, *range(4, 12)],
            "label": [*"xxxx", *"xyxyxyxy"],
        },
        id_column="id",
        max_rejected=1,
    )
    assert sorted((r.row, r.reason, r.detail) for r in found.rejected) == [
        ("twice", "duplicate-id", "the same image is listed more than once; one row of it is kept"),
        ("two", "duplicate-id", "2 different images have this id; none of them is kept"),
        ("two", "duplicate-id", "2 different images have this id; none of them is kept"),
    ]
    assert "twice" in set(found.images["image_id"])
    assert "two" not in set(found.images["image_id"])


def test_too_many_rejections_say_how_many_why_which_and_what_to_do(read_table: ReadTable) -> None:
    keys = ["x", "y"] * 20
    keys[3], keys[5] = "`odd`", "z" * 500
    with pytest.raises(TooManyRejected) as error:
        read_table({"label": keys}, classes={"x": "X", "y": "Y"})
    assert str(error.value) == (
        "2 of 40 rows were rejected (5.0%), and `dataset.max_rejected` allows 1.0%: "
        "2 unknown-label. For example:\n"
        "  `row-3`: unknown-label, its label ``odd`` is none of x, y\n"
        f"  `row-5`: unknown-label, its label `{'z' * 200}…` is none of x, y\n"
        "  Correct the data or the study file, or raise `max_rejected` if these rows should be "
        "left out.\n"
        "  unknown-label: name every label under `classes`, or correct those there"
    )
    assert [r.row for r in error.value.rejected] == ["row-3", "row-5"]


@pytest.mark.parametrize(("bad", "stops"), [(1, False), (2, True)])
def test_exactly_the_allowed_share_may_be_rejected(
    read_table: ReadTable, bad: int, stops: bool
) -> None:
    columns = {"label": [None] * bad + ["x", "y"] * 50}
    columns["label"] = columns["label"][:100]
    if stops:
        with pytest.raises(TooManyRejected):
            read_table(columns)
    else:
        assert len(read_table(columns).rejected) == 1


# --- classes --------------------------------------------------------------------------------------


def test_classes_come_from_the_data_numbers_in_their_order(read_table: ReadTable) -> None:
    found = read_table({"label": [2, 10, 1] * 4})
    assert [(c.key, c.name) for c in found.classes] == [("1", "1"), ("2", "2"), ("10", "10")]


def test_a_missing_neighbour_does_not_turn_a_number_into_another_name(
    read_table: ReadTable,
) -> None:
    found = read_table({"label": [1.0, 2.5, 10.0, None] * 3}, max_rejected=0.25)
    assert [c.key for c in found.classes] == ["1", "10", "2.5"]


def test_only_an_empty_label_is_missing(read_table: ReadTable) -> None:
    odd = ["None", "NA", "null", "nan", "N/A"]
    found = read_table({"label": [*odd, *odd, *odd, "", "  ", None]}, max_rejected=1)
    assert [c.key for c in found.classes] == sorted(odd)
    assert list(reasons(found).values()) == ["missing-label"] * 3
    assert (
        "`NA` is the class of 3 images: of labels only empty cells are missing. Where it means that"
        " nobody knows, empty those cells."
    ) in found.notes
    named = read_table({"label": ["x", "NA"] * 6}, classes={"x": "X", "NA": "no disease"})
    assert not any("`NA`" in note for note in named.notes)


def test_a_number_that_is_none_is_a_missing_label(read_table: ReadTable) -> None:
    numbers = pd.array([1.0, 2.0] * 5, dtype="float64")
    table = pd.DataFrame({"label": numbers})
    table.loc[3, "label"] = np.nan
    found = read_table(dict(table), max_rejected=1)
    assert [c.key for c in found.classes] == ["1", "2"]
    assert set(reasons(found).values()) == {"missing-label"}


def test_a_label_that_is_a_list_is_refused(read_table: ReadTable) -> None:
    with pytest.raises(StudyError, match=r"the column `label` holds list.*cannot name anything"):
        read_table({"label": [["x"], ["y"]] * 4})


def test_classes_of_the_study_keep_its_order_and_names(read_table: ReadTable) -> None:
    classes = {"nv": {"name": "nevus", "synonyms": ["mole"]}, "mel": "melanoma"}
    found = read_table({"label": ["mel", "nv"] * 4}, classes=classes)
    assert [(c.key, c.name, c.synonyms) for c in found.classes] == [
        ("nv", "nevus", ("mole",)),
        ("mel", "melanoma", ()),
    ]


def test_a_class_without_images_is_an_error_that_names_the_labels(read_table: ReadTable) -> None:
    with pytest.raises(StudyError, match=r"no image has the label `z`; .* are: `x`, `y`\. Correct"):
        read_table({"label": ["x", "y"] * 4}, classes={"x": "X", "y": "Y", "z": "Z"})


def test_one_class_is_not_enough(read_table: ReadTable) -> None:
    with pytest.raises(StudyError, match=r"at least two classes are needed; .* are: `x`\."):
        read_table({"label": ["x"] * 8})


# --- splits ---------------------------------------------------------------------------------------


def study(rows: int = 300) -> dict[str, list[Any]]:
    """Return subjects with lesions with views, some bytes twice; classes by lesion."""
    rng = np.random.default_rng(0)
    lesion = rng.integers(0, rows // 2, rows)
    return {
        "id": [f"i{i:04d}" for i in range(rows)],
        "image": [i if i % 25 else 0 for i in range(rows)],
        "label": ["zero" if i % 25 == 0 else "abc"[n % 3] for i, n in enumerate(lesion)],
        "lesion": [f"l{n}" for n in lesion],
        "subject": [None if n % 10 == 0 else f"s{n // 2}" for n in lesion],
    }


STUDY = {"id_column": "id", "lesion_column": "lesion", "subject_column": "subject"}


def test_subjects_lesions_and_equal_bytes_are_never_in_two_splits(read_table: ReadTable) -> None:
    images = read_table(study(), **STUDY).images
    for key in ("subject", "lesion", "sha256", "group"):
        assert images.groupby(key)["split"].nunique().max() == 1
    assert images["subject"].nunique() > 50
    assert images["sha256"].duplicated().any()


def test_no_image_is_under_two_labels(read_table: ReadTable) -> None:
    images = read_table(study(), **STUDY).images
    assert images.groupby("sha256")["label"].nunique().max() == 1


@pytest.mark.parametrize("limit", [None, 100])
def test_the_order_of_the_rows_decides_nothing(read_table: ReadTable, limit: int | None) -> None:
    columns = study()
    first = read_table(columns, **STUDY, limit=limit)
    order = np.random.default_rng(1).permutation(len(columns["id"]))
    shuffled = read_table(
        {k: [v[i] for i in order] for k, v in columns.items()}, **STUDY, limit=limit
    )
    pd.testing.assert_frame_equal(first.images, shuffled.images)


def test_a_limit_takes_whole_groups_and_all_classes_and_says_so(read_table: ReadTable) -> None:
    columns = study()
    found = read_table(columns, **STUDY, limit=100)
    assert 90 <= len(found.images) <= 110
    assert set(found.images["label"]) == {"a", "b", "c", "zero"}
    assert found.notes[0] == f"{len(found.images)} of 300 listed images were drawn."
    kept, table = set(found.images["image_id"]), pd.DataFrame(columns)
    for _, ids in table.groupby("lesion")["id"]:
        assert kept >= set(ids) or not kept & set(ids)


def test_images_without_a_subject_are_counted(read_table: ReadTable) -> None:
    columns = study()
    missing = sum(subject is None for subject in columns["subject"])
    notes = read_table(columns, **STUDY).notes
    assert f"{missing} images have no subject: each was taken for one of its own." in notes


def test_ids_that_link_everyone_are_explained(read_table: ReadTable) -> None:
    with pytest.raises(StudyError) as error:
        read_table({"label": ["x", "y"] * 10, "lesion": ["1"] * 20}, lesion_column="lesion")
    assert str(error.value) == (
        "the validation split would be empty: 20 images are 1 groups, the largest of 20. Images "
        "that share a subject, a lesion or their bytes are one group. Check `subject_column` and "
        "`lesion_column`: ids that start anew for each subject link strangers. Or give more "
        "images."
    )


def split(
    parts: Sequence[str | None], label: list[int], **shares: float
) -> tuple[list[str], list[str]]:
    """Split images that are a group each."""
    classes = tuple(ClassLabel(key=str(k), name=f"class {k}") for k in range(max(label) + 1))
    group, spec = np.arange(len(label)), SplitSpec(**shares)
    splits, notes = choose_splits(parts, group, np.array(label), classes, spec)
    return [str(s) for s in splits], notes


def test_given_splits_are_kept_under_our_names() -> None:
    parts: list[str | None] = ["Training", "VAL", "testing", "train", "dev", "test"]
    assert split(parts, [0, 0, 0, 1, 1, 1]) == (
        ["train", "validation", "test"] * 2,
        [],
    )


@pytest.mark.parametrize(
    ("given", "cut", "expected"),
    [("test", "validation", 20), ("validation", "test", 29)],
    ids=["0.15 / (0.6 + 0.15)", "0.25 / (0.6 + 0.25)"],
)
def test_a_split_that_is_not_given_is_cut_out_of_train(given: str, cut: str, expected: int) -> None:
    parts = ["train"] * 100 + [given] * 10
    splits, notes = split(parts, [0, 1] * 55, train=0.6, validation=0.15, test=0.25)
    assert splits[100:] == [given] * 10
    assert splits[:100].count(cut) == pytest.approx(expected, abs=1)
    assert splits[:100].count("train") + splits[:100].count(cut) == 100
    assert notes == [f"The data gives no {cut} split: cut out of train."]


def test_data_without_training_images_is_refused() -> None:
    with pytest.raises(StudyError, match="the data gives splits, but no image is in train"):
        split(["test", "test", "val", "val"], [0, 1, 0, 1])


def test_a_class_that_cannot_be_trained_on_is_refused() -> None:
    parts: list[str | None] = ["train", "val", "test", "val", "test"]
    with pytest.raises(StudyError, match="no training image shows class 1"):
        split(parts, [0, 0, 0, 1, 1])


def test_classes_with_few_groups_reach_train_then_test_and_it_is_said() -> None:
    splits, notes = split([None] * 33, [0] * 30 + [1, 1, 2])
    assert sorted(splits[30:32]) == ["test", "train"]
    assert splits[32] == "train"
    assert notes == [
        "The validation split has no image of class 1, class 2.",
        "The test split has no image of class 2.",
    ]


def test_a_group_that_unbalances_the_splits_is_said() -> None:
    classes = (ClassLabel(key="a", name="a"), ClassLabel(key="b", name="b"))
    group = np.array([0] * 80 + list(range(1, 21)))
    _, notes = choose_splits([None] * 100, group, np.array([0, 1] * 50), classes, SplitSpec())
    assert notes[0] == (
        "The train split holds 80% of the images instead of 60%, since groups are never parted."
    )


# --- attributes and metadata ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [[True, False], [1, 0], [1.0, 0.0], ["true", "false"], ["Yes", "no"], ["1", "0"]],
)
def test_attributes_are_read_from_every_way_of_saying_true(
    read_table: ReadTable, values: list[Any]
) -> None:
    found = read_table({"label": ["x", "y"] * 4, "veil": values * 4}, attributes=["veil"])
    assert found.images["attribute.veil"].dtype == bool
    ids = found.images["image_id"].str.removeprefix("row-").astype(int)
    assert found.images["attribute.veil"].tolist() == [i % 2 == 0 for i in ids]
    assert "meta.veil" not in found.images


def test_an_unknown_attribute_is_not_taken_for_an_absent_one(read_table: ReadTable) -> None:
    columns = {"label": ["x", "y"] * 4, "veil": ["yes", "no", None, "", "yes", "no", "no", "no"]}
    found = read_table(columns, attributes=["veil"])
    truth = Truth.of_column(found.images["attribute.veil"])
    ids = found.images["image_id"].str.removeprefix("row-").astype(int)
    assert ids[~truth.known].tolist() == [2, 3]
    assert ids[truth.present].tolist() == [0, 4]


def test_an_attribute_that_is_neither_true_nor_false_is_refused(read_table: ReadTable) -> None:
    columns = {"label": ["x", "y"] * 4, "veil": ["yes"] * 7 + ["perhaps"]}
    with pytest.raises(StudyError) as error:
        read_table(columns, attributes=["veil"])
    assert str(error.value) == (
        "the attribute column `veil` has 1 values that are neither true nor false, such as "
        "`perhaps`. It must hold true/false, yes/no, 1/0 or nothing: correct it, or leave it out "
        "of `dataset.attributes`."
    )


def test_metadata_keeps_its_types(read_table: ReadTable) -> None:
    columns = {
        "label": ["x", "y"] * 4,
        "age": np.arange(8, dtype=np.int16),
        "dose": np.arange(8, dtype=np.float32),
        "site": list("abcdefgh"),
        "when": pd.date_range("2020-01-01", periods=8),
        "seen": [True, None] * 4,
    }
    kept = [name for name in columns if name != "label"]
    images = set_apart(read_table(columns, metadata=kept)).images
    kinds = {c: str(images[c].dtype) for c in images.columns if c.startswith("meta.")}
    assert kinds == {
        "meta.age": "int16",
        "meta.dose": "float32",
        "meta.site": "str",
        "meta.when": "datetime64[us]",
        "meta.seen": "object",
    }


def test_only_metadata_that_the_study_names_is_taken_in(read_table: ReadTable) -> None:
    columns = {
        "label": ["x", "y"] * 6,
        "age": range(30, 42),
        "patient_name": [f"Ada Example {i}" for i in range(12)],
        "__url__": [f"/home/me/{i}.tar" for i in range(12)],
    }
    found = read_table(columns, metadata=["age"])
    assert [c for c in map(str, found.images) if c.startswith("meta.")] == ["meta.age"]
    assert found.notes[-1] == (
        "Columns that the study does not name were left out: `patient_name`, `__url__`."
    )
    assert "Example" not in found.images.to_csv()
    with pytest.raises(StudyError, match="has no column `agee`"):
        read_table(columns, metadata=["agee"])


def test_patients_that_the_study_does_not_name_are_noticed(read_table: ReadTable) -> None:
    rows = {"label": ["x", "y"] * 30, "code": [f"P{i // 3}" for i in range(60)]}
    told = "No subject column is given, but values of the column `code` look like ids of patients"
    found = read_table(rows)
    assert told in found.unnamed_subject
    assert set_apart(found).unnamed_subject == found.unnamed_subject
    assert found.unnamed_subject in found.notes
    assert read_table(rows, subject_column="code").unnamed_subject == ""
    assert read_table(rows, lesion_column="code").unnamed_subject == "", "no such part stands twice"
    for harmless in ([30 + i % 20 for i in range(60)], [f"site {i % 4}" for i in range(60)]):
        assert read_table({"label": rows["label"], "code": harmless}).unnamed_subject == ""


@pytest.mark.parametrize(
    ("names", "noticed"),
    [
        ([f"{i // 3:08d}_{i % 3:03d}.png" for i in range(60)], "the beginnings of file names"),
        ([f"patient{i // 3} view{i % 3}.png" for i in range(60)], "the beginnings of file names"),
        ([f"{i // 2}_{('left', 'right')[i % 2]}.png" for i in range(60)], "the beginnings of file"),
        ([f"P{i // 3}/{i}.png" for i in range(60)], "the folders of files"),
        ([f"person{i // 3}_bacteria_{i}.png" for i in range(60)], "parts of files' paths"),
        ([f"patient{i // 4:05}/study{i % 2}/{i}.png" for i in range(60)], "such as `patient0000"),
        ([f"sub-{i // 4:02}/ses-{i % 2}/{i}.png" for i in range(60)], "such as `sub-0"),
        ([f"inpatient/{i:04}.png" for i in range(60)], ""),
        ([f"person_{i:04}.png" for i in range(60)], ""),
        ([f"img_{i:04}.png" for i in range(60)], ""),
        ([f"images_{i % 3:03}/img_{i:04}.png" for i in range(60)], ""),
        ([f"ISIC_{i:07d}.png" for i in range(60)], ""),
        ([f"2019_{i:04d}.png" for i in range(60)], ""),
    ],
)
def test_patients_in_file_names_are_noticed(
    tmp_path: Path, read: Read, draw: Draw, names: list[str], noticed: str
) -> None:
    write_images(tmp_path / "in", names, draw)
    rows = [f"{name},{'xy'[i // 3 % 2]}" for i, name in enumerate(names)]
    (tmp_path / "in" / "t.csv").write_text("\n".join(["file,label", *rows]))
    source = {"kind": "table", "path": tmp_path / "in" / "t.csv", "image_column": "file"}
    found = read(source=source).unnamed_subject
    assert noticed in found
    assert bool(found) == bool(noticed)


# --- test labels ----------------------------------------------------------------------------------


def held_out_study(read_table: ReadTable, keys: list[str]) -> LabelledImages:
    """Read 20 training, 10 validation and 10 test images with a column that renames the label."""
    columns = {
        "label": keys,
        "part": ["train"] * 20 + ["val"] * 10 + ["test"] * 10,
        "diagnosis": [{"x": 501, "y": 502}[key] for key in keys],
        "subtype": [f"{key}{i % 2}" for i, key in enumerate(keys)],
        "clinic": ["north", "south", "south"] * 13 + ["north"],
    }
    kept = ["diagnosis", "subtype", "clinic"]
    return read_table(columns, split_column="part", metadata=kept)


def written(found: LabelledImages, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    set_apart(found).write(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_written_does_not_depend_on_which_test_image_has_which_label(
    read_table: ReadTable, tmp_path: Path
) -> None:
    keys = ["x", "y"] * 20
    swapped = keys[:30] + list(reversed(keys[30:]))
    assert swapped != keys
    first = held_out_study(read_table, keys)
    second = held_out_study(read_table, swapped)
    assert first.test_labels() != second.test_labels()
    assert written(first, tmp_path / "a") == written(second, tmp_path / "b")


def test_test_labels_are_whole_and_only_of_the_test_split(read_table: ReadTable) -> None:
    found = held_out_study(read_table, ["x", "y"] * 20)
    test_rows = found.images["split"] == "test"
    assert found.test_labels().labels == {
        image_id: label
        for image_id, label in labels(found).items()
        if image_id in set(found.images["image_id"][test_rows])
    }
    images = set_apart(found).images
    assert images["label"].isna().tolist() == test_rows.tolist()
    assert len(found.test_labels().labels) == 10


def test_columns_that_tell_the_class_are_empty_on_test_rows_and_others_are_not(
    read_table: ReadTable,
) -> None:
    dataset = set_apart(held_out_study(read_table, ["x", "y"] * 20))
    test_rows = dataset.images["split"] == "test"
    for column in ("meta.diagnosis", "meta.subtype"):
        assert dataset.images[column].isna().tolist() == test_rows.tolist()
        assert f"`{column}` tells the class, so it is empty on test rows." in dataset.notes
    assert dataset.images["meta.clinic"].notna().all()


def test_one_hot_columns_and_labels_with_exceptions_are_empty_on_test_rows(
    read_table: ReadTable,
) -> None:
    label = ["mel", "nv", "bkl"] * 40
    written = ["Melanoma" if k == "mel" else "other" for k in label]
    written[4] = "Melanoma"
    dataset = set_apart(
        read_table(
            {
                "label": label,
                "one_hot": [int(k == "bkl") for k in label],
                "written": written,
                "sex": ["f", "m"] * 60,
                "age": [20 + 5 * (i % 11) for i in range(120)],
            },
            label_column="label",
            metadata=["one_hot", "written", "sex", "age"],
        )
    )
    test_rows = dataset.images["split"] == "test"
    for column in ("meta.one_hot", "meta.written"):
        assert dataset.images[column].isna().tolist() == test_rows.tolist()
    for column in ("meta.sex", "meta.age"):
        assert dataset.images[column].notna().all()


def test_ids_that_name_the_class_are_replaced_and_groups_with_them(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    names = [f"{c}/{i}.png" for c in ("mel", "nv") for i in range(10)]
    root = write_images(tmp_path / "skin", names, draw)
    found = read(source={"kind": "folder", "path": root})
    hidden = found.without_classes_in_ids()
    told = " ".join([*hidden.images["image_id"], *hidden.images["group"]])
    assert "mel" not in told
    assert "nv" not in told
    assert hidden.images["image_id"].is_monotonic_increasing
    assert set(hidden.images["group"]) <= set(hidden.images["image_id"])
    assert hidden.class_counts == found.class_counts
    assert dict(zip(hidden.images["sha256"], hidden.images["label"], strict=True)) == dict(
        zip(found.images["sha256"], found.images["label"], strict=True)
    )


def test_ids_that_say_nothing_are_left_alone(read_table: ReadTable) -> None:
    found = held_out_study(read_table, ["x", "y"] * 20)
    assert found.without_classes_in_ids() is found


def test_counts_are_made_while_the_labels_are_known(read_table: ReadTable) -> None:
    dataset = set_apart(held_out_study(read_table, ["x", "y"] * 20))
    assert dataset.class_counts == {
        key: {"train": 10, "validation": 5, "test": 5} for key in ("x", "y")
    }


# --- reports --------------------------------------------------------------------------------------


def test_reports_are_apart_from_all_that_is_published(read_table: ReadTable) -> None:
    said = [f"Seen: {i},\n a <b>lesion</b>" for i in range(10)]
    found = read_table(
        {"label": ["x", "y"] * 5, "age": range(10), "text": [*said[:-2], None, "  "]},
        report_column="text",
        metadata=["age"],
    )
    assert found.reports is not None
    assert found.reports.texts == {f"row-{i}": said[i] for i in range(8)}
    assert found.notes[-1] == "8 of 10 images have a report, kept apart from all this."
    assert "Seen" not in found.images.to_csv()
    assert "Seen" not in repr(found.reports)
    assert [c for c in map(str, found.images) if c.startswith("meta.")] == ["meta.age"]
    ref: Ref[Reports] = Ref(Reports.kind, "1" * 20)
    apart = found.set_apart(Ref(TestLabels.kind, "0" * 20), ref)
    assert ref in apart.parts()


def test_columns_that_repeat_reports_are_left_out_with_them(read_table: ReadTable) -> None:
    said = [f"A spot of {i} mm with a rim. In short: harmless, looks like {i}" for i in range(8)]
    columns: dict[str, Any] = {
        "label": ["x", "y"] * 4,
        "text": said,
        "impression": [said[3][20:] if i == 3 else "-" for i in range(8)],
        "part": [None] * 7 + [said[7][:40].upper().replace(" ", "  ")],
        "more": [f"{s} And so on." if i == 0 else "short" for i, s in enumerate(said)],
        "site": ["a spot"] * 8,
        "age": range(8),
    }
    kept = [name for name in columns if name not in ("label", "text")]
    found = read_table(columns, report_column="text", metadata=kept)
    assert [c for c in map(str, found.images) if c.startswith("meta.")] == ["meta.site", "meta.age"]
    assert found.notes[-1] == (
        "Columns of free text, or that repeat reports, were left out: `impression`, `part`, `more`."
    )


def test_reports_in_other_words_are_no_metadata_either(read_table: ReadTable) -> None:
    """Most values are the same in `redacted` and `marked`, so they are no free text by length."""
    said = [
        f"Mrs Quill, {20 + i} years.\nA brown spot with an irregular rim, {i} mm wide.<br>Harmless."
        for i in range(8)
    ]
    usual = "Nothing worth a word was found here."
    columns: dict[str, Any] = {
        "label": ["x", "y"] * 4,
        "text": said,
        "redacted": [usual] * 6 + [s.replace("Mrs Quill", "[NAME]") for s in said[6:]],
        "marked": [usual] * 7 + [said[7].replace("spot", "<b>spot</b>").replace("\n", "<br/>")],
        "translated": [f"Un point brun au bord très irrégulier, {i} mm de large" for i in range(8)],
        "site": ["upper part of the left forearm, near the elbow"] * 8,
        "code": [f"case {i}" for i in range(8)],
    }
    named = [name for name in columns if name not in ("label", "text")]
    found = read_table(columns, report_column="text", metadata=named)
    kept = [c for c in map(str, found.images) if c.startswith("meta.")]
    assert kept == ["meta.site", "meta.code"]
    assert found.notes[-1].endswith("`redacted`, `marked`, `translated`.")
    without = {key: values for key, values in columns.items() if key != "text"}
    assert "meta.translated" in read_table(without, metadata=named).images, (
        "where there are no reports it is data"
    )


def test_without_a_report_column_there_are_none(read_table: ReadTable) -> None:
    found = read_table({"label": ["x", "y"] * 5})
    assert found.reports is None
    assert len(set_apart(found).parts()) == 1


def test_only_images_have_reports_and_new_ids_keep_them(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    names = [f"{'xy'[i % 2]}/{i}.png" for i in range(8)]
    write_images(tmp_path / "in", names, draw)
    (tmp_path / "in" / "x" / "0.png").write_bytes(b"no image")
    table = {"file_name": names, "label": ["x", "y"] * 4, "text": [f"of {n}" for n in names]}
    pd.DataFrame(table).to_csv(tmp_path / "in" / "metadata.csv", index=False)
    found = read(
        source={"kind": "folder", "path": tmp_path / "in"}, report_column="text", max_rejected=1
    )
    new = found.without_classes_in_ids()
    assert found.reports is not None
    assert new.reports is not None
    assert set(found.reports.texts) == set(found.images["image_id"])
    assert set(new.reports.texts) == set(new.images["image_id"])
    by_bytes = dict(zip(found.images["image_id"], found.images["sha256"], strict=True))
    again = dict(zip(new.images["image_id"], new.images["sha256"], strict=True))
    assert {by_bytes[i]: t for i, t in found.reports.texts.items()} == {
        again[i]: t for i, t in new.reports.texts.items()
    }


def test_a_column_of_reports_that_is_not_there_is_named(read_table: ReadTable) -> None:
    with pytest.raises(StudyError, match="has no column `text`"):
        read_table({"label": ["x", "y"] * 5}, report_column="text")
