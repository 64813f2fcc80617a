import json
from pathlib import Path
from typing import Literal

import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import FileOrigin
from curette.schemas.images import ClassLabel
from curette.schemas.settings.propose import FileSource
from curette.tasks.propose.files import match_classes, read_file
from curette.tasks.propose.proposals import Proposal

CLASSES = (
    ClassLabel(key="nv", name="melanocytic nevus", synonyms=("mole", "nevi")),
    ClassLabel(key="mel", name="melanoma"),
)


def write(folder: Path, text: str, name: str = "concepts.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(
    path: Path, form: Literal["class_to_concepts", "lines", "questions"]
) -> list[tuple[str, tuple[str, ...], int]]:
    proposals = read_file(FileSource(kind="file", path=path, format=form), CLASSES).proposals
    return [(p.text, p.classes, p.origin.line) for p in proposals if p.origin.kind == "file"]


def test_a_class_file_gives_each_class_its_list_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, '{"Melanoma": ["dark", "large"], "MOLE": ["round"]}')
    assert read(path, "class_to_concepts") == [
        ("dark", ("mel",), 1),
        ("large", ("mel",), 2),
        ("round", ("nv",), 1),
    ]


def test_two_names_of_one_class_are_one_class(tmp_path: Path) -> None:
    path = write(tmp_path, '{"mel": ["dark"], "nevi": ["round"], "melanocytic_nevus": ["even"]}')
    assert {classes for _, classes, _ in read(path, "class_to_concepts")} == {("mel",), ("nv",)}


@pytest.mark.parametrize("name", ["NV", "Melanocytic Nevus", "melanocytic-nevus", "Mole", " nevi "])
def test_names_match_whatever_their_case_and_dashes(name: str) -> None:
    assert match_classes([name], CLASSES[:1], Path("f"))[name].key == "nv"


def test_each_line_is_a_concept_for_all_classes(tmp_path: Path) -> None:
    path = write(tmp_path, "dark brown\n\n  \nround shape\n")
    assert read(path, "lines") == [
        ("dark brown", ("nv", "mel"), 1),
        ("round shape", ("nv", "mel"), 4),
    ]


def test_each_question_is_a_statement_for_all_classes(tmp_path: Path) -> None:
    path = write(tmp_path, "Is the lesion round?\nDoes the lesion have dots?\n")
    assert read(path, "questions") == [
        ("the lesion is round", ("nv", "mel"), 1),
        ("the lesion has dots", ("nv", "mel"), 2),
    ]


def test_an_origin_names_the_file_without_its_folder(tmp_path: Path) -> None:
    source = FileSource(kind="file", path=write(tmp_path, "dark"), format="lines")
    origin = FileOrigin(file="concepts.txt", line=1)
    assert read_file(source, CLASSES).proposals == (Proposal("dark", ("nv", "mel"), origin),)


def test_other_classes_in_file_and_dataset_are_listed_on_both_sides(tmp_path: Path) -> None:
    path = write(tmp_path, '{"mel": ["dark"], "wart": ["rough"], "nevus": ["round"]}')
    with pytest.raises(StudyError) as raised:
        read(path, "class_to_concepts")
    assert str(raised.value) == (
        f"{path} and the dataset do not have the same classes. In the file only: `wart`, `nevus`. "
        "In the dataset only: `nv`. Add the file's names as synonyms in dataset.classes, or "
        "change the file."
    )


def test_a_class_with_an_empty_list_counts_as_missing(tmp_path: Path) -> None:
    path = write(tmp_path, '{"mel": ["dark"], "nv": []}')
    with pytest.raises(StudyError, match=r"In the file only: none\. In the dataset only: `nv`"):
        read(path, "class_to_concepts")


def test_a_name_of_two_classes_is_refused() -> None:
    twins = [ClassLabel(key=key, name=key, synonyms=("lesion",)) for key in ("a", "b")]
    with pytest.raises(StudyError, match="`Lesion` could each mean several classes"):
        match_classes(["a", "b", "Lesion"], twins, Path("f"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("not json", "at the top, Invalid JSON"),
        ('["dark"]', "at the top, Input should be an object"),
        ('{"mel": "dark"}', "at mel, Input should be a valid"),
        ('{"mel": ["dark", 3]}', "at mel > 1, Input should be a valid string"),
    ],
)
def test_a_file_in_another_form_is_refused_with_the_place(
    tmp_path: Path, content: str, complaint: str
) -> None:
    with pytest.raises(StudyError, match=complaint):
        read(write(tmp_path, content), "class_to_concepts")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"cannot read the concepts in .*absent\.txt: No such file"
    ):
        read(tmp_path / "absent.txt", "lines")
    latin = tmp_path / "latin.txt"
    latin.write_bytes("gefäßreich".encode("latin-1"))
    with pytest.raises(StudyError, match=r"latin\.txt is not UTF-8 \(byte 3\)"):
        read(latin, "lines")


def test_the_published_file_of_labo_is_read_whole(shared_data: Path) -> None:
    path = shared_data / "ham10000" / "labo" / "class2concepts.json"
    lists = json.loads(path.read_bytes())
    classes = [ClassLabel(key=name[:4], name=name) for name in lists]
    proposals = read_file(FileSource(kind="file", path=path), classes).proposals
    assert len(proposals) == sum(map(len, lists.values())) == 3063


def test_the_published_questions_of_knobo_are_read_whole(shared_data: Path) -> None:
    path = shared_data / "knobo" / "skin_PubMed.txt"
    assert len(read(path, "questions")) == 200
