"""One thing in two spellings is never two things, and several in one cell are never one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.listing import quoted
from curette.tasks.ingest.spelling import check_ids, check_labels, check_single, id_form, label_form
from tests.tasks.ingest.conftest import Read, ReadTable


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P001", "p001"),
        ("P001", "P1"),
        ("7", "007"),
        ("7", "7.0"),
        ("007", "7.00"),
        ("A  12", "a 12"),
        ("Müller", "Mu\u0308ller"),
        ("case\uff11", "case1"),
        ("1,204", "1204"),
        ("12 345 678", "12345678"),
    ],
)
def test_ids_of_one_form(one: str, other: str) -> None:
    assert id_form(one) == id_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P1", "P10"),
        ("7", "70"),
        ("7.0", "7.01"),
        ("a-1", "a1"),
        ("1_2", "12"),
        ("0", "00a"),
        ("1,2", "12"),
    ],
)
def test_ids_of_two_forms(one: str, other: str) -> None:
    assert id_form(one) != id_form(other)


def test_labels_of_one_form() -> None:
    assert label_form("Basal-cell carcinoma") == label_form("basal cell  CARCINOMA")
    assert label_form("1") == label_form("1.0") == label_form("01")
    assert label_form("'nevus'") == label_form("\u201cNevus.\u201d") == label_form("nevus")
    assert label_form("grade 1") != label_form("grade 2")
    assert label_form("grade +") != label_form("grade -")
    assert label_form("?") != label_form("")


def test_blanks_at_the_ends_part_no_patients_and_no_classes(read_table: ReadTable) -> None:
    patients = [f"P{i // 4:03d}{' ' * (i % 2)}" for i in range(60)]
    labels = ["\u00a0" * (i % 3) + "xy"[(i // 4) % 2] + "\t" for i in range(60)]
    found = read_table({"label": labels, "patient": patients}, subject_column="patient")
    assert [c.key for c in found.classes] == ["x", "y"]
    assert found.images["subject"].nunique() == 15
    assert found.images.groupby("subject")["split"].nunique().max() == 1
    assert "Blanks at the ends of 30 values of `patient` were taken off." in found.notes
    assert "Blanks at the ends of 60 values of `label` were taken off." in found.notes


def test_labels_in_two_spellings_are_refused_with_both(read_table: ReadTable) -> None:
    keys = [*["nevus"] * 6, "Nevus", "NEVUS", *["melanoma"] * 6]
    with pytest.raises(StudyError) as error:
        read_table({"label": keys})
    assert str(error.value) == (
        "labels of `label` differ in case, blanks, punctuation or number format alone: `NEVUS` (1) "
        "and `nevus` (6); `Nevus` (1) and `nevus` (6). They are hardly two classes, and would be "
        "trained as two. Correct the data, or say under `dataset.labels` which stands for "
        "which, such as `NEVUS`: `nevus`."
    )
    joined = read_table({"label": keys}, labels={"Nevus": "nevus", "NEVUS": "nevus"})
    assert [c.key for c in joined.classes] == ["melanoma", "nevus"]


def test_labels_that_the_study_names_apart_are_apart(read_table: ReadTable) -> None:
    classes = {"a": "small", "A": "large"}
    found = read_table({"label": ["a", "A"] * 6}, classes=classes)
    assert [c.key for c in found.classes] == ["a", "A"]


def test_a_label_in_another_spelling_than_the_named_class_is_not_just_left_out(
    read_table: ReadTable,
) -> None:
    with pytest.raises(StudyError, match=r"`Nevus` \(3\) and `nevus`"):
        read_table(
            {"label": ["nevus", "mel"] * 6 + ["Nevus"] * 3},
            classes={"nevus": "nevus", "mel": "melanoma"},
            max_rejected=1,
        )


@pytest.mark.parametrize("column", ["subject", "lesion", "id"])
def test_ids_in_two_spellings_are_refused_with_both(read_table: ReadTable, column: str) -> None:
    ids = [f"P{i:03d}" for i in range(12)]
    ids[3] = "p002"
    with pytest.raises(StudyError, match=r"`who` differ in case.*`p002` \(1\) and `P002` \(1\)"):
        read_table({"label": ["x", "y"] * 6, "who": ids}, **{f"{column}_column": "who"})


@pytest.mark.parametrize(
    "labels",
    [
        ["Effusion", "Atelectasis", "Effusion|Atelectasis"],
        ["Effusion|Mass", "Atelectasis|Mass", "Nodule"],  # no finding stands alone
        ["a", "b", "a; b"],
        ["a", "b", "a, b"],
        ["a", "b", "b + a"],
        ["['a', 'b']", "['a']"],
        *(["a", "b", f"a{sign}b"] for sign in ("\n", "^", "~", "\\", " and ", " ")),
    ],
)
def test_several_labels_in_a_cell_are_refused(labels: list[str]) -> None:
    with pytest.raises(StudyError, match="hold several labels at once, such as"):
        check_single(labels * 3, "label", ())


@pytest.mark.parametrize(
    "labels",
    [
        ["carcinoma", "carcinoma, in situ"],
        ["melanoma/nevus", "angioma"],
        ["nevus (Spitz)", "(none)"],
        ["x; y", "z"],
        ["A|B", "C|D"],
        ["blue nevus", "nevus", "hand and foot"],
    ],
)
def test_names_with_commas_and_the_like_are_names(labels: list[str]) -> None:
    check_single(labels * 3, "label", ())


def test_a_combination_that_the_study_names_is_a_class() -> None:
    check_single(["a", "b", "a|b"], "label", {"a|b"})


def test_many_pairs_are_counted_and_three_shown() -> None:
    ids = [f"x{i}" for i in range(5)] + [f"X{i}" for i in range(5)]
    with pytest.raises(StudyError, match=r"`x0` \(1\) and `X0` \(1\).*, and 2 more\."):
        check_ids(ids, "who", "subject")


def test_ids_that_a_spreadsheet_shortened_are_refused(read_table: ReadTable) -> None:
    with pytest.raises(StudyError, match=r"2 ids of `who` .* shortened, such as `1.23457E\+11`"):
        check_ids(["1.23457E+11", "1e+12", "12e4", None], "who", "subject")
    large = [123456789012.0 + i // 2 for i in range(12)]  # as pandas keeps them beside a gap
    found = read_table({"label": ["x", "y"] * 6, "who": [None, *large[1:]]}, subject_column="who")
    assert found.images["subject"].nunique() == 6
    assert "123456789012" in found.images["subject"].tolist()


def test_a_missing_label_is_no_spelling() -> None:
    check_labels([None, "a", "b"], "label", ())


@pytest.mark.parametrize("word", ["None", "NA", "null"])
def test_a_word_for_nothing_is_a_class_whether_the_study_names_it_or_not(
    read_table: ReadTable, word: str
) -> None:
    columns = {"label": [word, "mild"] * 8}
    found = read_table(columns, classes={word: "healthy", "mild": "mild"})
    assert [c.key for c in found.classes] == [word, "mild"]
    assert {c.name for c in read_table(columns).classes} == {word, "mild"}


def test_a_class_that_an_archive_calls_none_is_a_class(tmp_path: Path, read: Read) -> None:
    arrays = {
        "train_images": np.random.default_rng(0).integers(0, 255, (12, 8, 8), dtype=np.uint8),
        "train_labels": np.arange(12) % 2,
    }
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    found = read(source={"kind": "npz", "path": path, "class_names": ("None", "mild")})
    assert [c.key for c in found.classes] == ["None", "mild"]


def test_foreign_text_is_quoted_in_one_line() -> None:
    assert quoted("Icon\r") == "`Icon\\r`"
    assert quoted("\x1b[31mred\u202e\n") == "`\\x1b[31mred\\u202e\\n`"
    assert quoted("Müller 水") == "`Müller 水`"


def test_labels_of_the_spec_may_have_blanks_too(read_table: ReadTable) -> None:
    spec = DatasetSpec(source={"kind": "synthetic"}, labels={"nevus ": "nv"})
    assert spec.labels == {"nevus ": "nv"}
    found = read_table({"label": pd.Series(["nevus ", "mel"] * 6)}, labels={"nevus ": "nv"})
    assert [c.key for c in found.classes] == ["mel", "nv"]
