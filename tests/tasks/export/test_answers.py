"""Answers of Label Studio come back as a table, or not at all."""

import csv
import io
import json
from typing import Any

import pytest

from curette.schemas.artifact import StudyError
from curette.tasks.export.answers import read_answers
from curette.tasks.export.label_studio import NONE_OF_THEM
from tests.builders.published_study import published_study

PUBLISHED, _ = published_study()
NAMES = {i: f"scan {i}.dcm" for i in PUBLISHED.images["image_id"]}
FIRST, SECOND, *OTHERS = [c.text for c in PUBLISHED.concepts]


def annotation(
    chosen: str | None, concepts: list[str] | None, cancelled: bool = False
) -> dict[str, Any]:
    """Return one as https://labelstud.io/guide/task_format has it, with what we do not read."""
    given = {"class": chosen and [chosen], "concepts": concepts}
    return {
        "id": "1001",
        "result": [
            {
                "id": "Dx_aB91ISN",
                "from_name": name,
                "to_name": "image",
                "type": "choices",
                "value": {"choices": choices},
            }
            for name, choices in given.items()
            if choices is not None
        ],
        "was_cancelled": cancelled,
        "completed_by": 10,
    }


def task(image_id: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "data": {"image_id": image_id}, "annotations": annotations, "predictions": []}


def read(*tasks: dict[str, Any]) -> dict[str, dict[str, str]]:
    answers = read_answers(json.dumps(tasks).encode(), PUBLISHED, NAMES, "image_id")
    rows = csv.DictReader(io.StringIO(answers.table.decode("utf-8-sig")))
    return {row["image_id"]: row for row in rows}


def test_what_one_person_answered_is_a_row_under_the_name_that_the_data_knows() -> None:
    (row,) = read(task("img003", annotation("class b", [FIRST]))).values()
    assert row["image_id"] == "scan img003.dcm"
    assert (row["answered_class"], row["people"]) == ("b", "1")
    assert row["sees_sign_0_of_a"] == "true"
    assert row["sees_sign_1_of_a"] == "false"


def test_who_chose_no_concept_said_nothing_of_them_unless_there_is_none() -> None:
    rows = read(
        task("img001", annotation("class a", None)),
        task("img002", annotation("class a", [NONE_OF_THEM])),
    )
    assert rows["scan img001.dcm"]["sees_sign_0_of_a"] == ""
    assert rows["scan img002.dcm"]["sees_sign_0_of_a"] == "false"


def test_what_people_differ_about_is_unknown() -> None:
    tasks = [task("img001", annotation("class a", [FIRST]), annotation("class b", [FIRST, SECOND]))]
    (row,) = read(*tasks).values()
    assert (row["answered_class"], row["people"]) == ("", "2")
    assert (row["sees_sign_0_of_a"], row["sees_sign_1_of_a"]) == ("true", "")
    answers = read_answers(json.dumps(tasks).encode(), PUBLISHED, NAMES, "image_id")
    assert (answers.images, answers.differing) == (1, 2)
    assert answers.attributes["sees_sign_1_of_a"] == [SECOND]


def test_skipped_and_unanswered_tasks_are_no_rows() -> None:
    assert not read(task("img001", annotation("class a", [FIRST], cancelled=True)), task("img002"))


def test_all_that_does_not_fit_is_told_at_once() -> None:
    tasks = [
        task("elsewhere", annotation("class a", None)),
        task("img001", annotation("class x", ["a new sign"])),
        task("img002", annotation(None, [NONE_OF_THEM, FIRST])),
    ]
    with pytest.raises(StudyError) as told:
        read(*tasks)
    for what in (
        "task 1: there is no image elsewhere",
        "task 2: there is no class class x",
        "task 2: there is no concept a new sign",
        f"task 3: “{NONE_OF_THEM}” is chosen beside {FIRST}",
    ):
        assert what in str(told.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"image_id,class\n", b"{}", b'[{"image": "a.png", "class": "class a"}]'],
    ids=["empty", "no text", "csv", "no list", "json-min"],
)
def test_another_format_is_one_clear_error(content: bytes) -> None:
    with pytest.raises(StudyError, match="no export of Label Studio in its format JSON"):
        read_answers(content, PUBLISHED, NAMES, "image_id")
