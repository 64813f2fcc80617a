import json

import pytest

from curette.schemas.responses import LlmResponse
from curette.tasks.methods.llm.each import each_form
from curette.tasks.methods.llm.reading import Unusable, read_answer, response_format

FORM = each_form("votes", 3, ("yes", "no"))


def read(text: str) -> dict[int, str]:
    return read_answer(LlmResponse(text=text, model="m", format="text"), FORM).words


def test_every_item_has_a_required_key_of_its_own() -> None:
    schema = response_format(FORM)["json_schema"]["schema"]
    assert schema == {
        "type": "object",
        "properties": {n: {"type": "string", "enum": ["yes", "no"]} for n in "123"},
        "required": ["1", "2", "3"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"1": "yes", "2": "no", "3": "yes"}',
        '{"3": "Yes.", "2": false, "1": "TRUE"}',
        '{"answers": {"1": "yes", "2": "no", "3": "yes"}}',
        '{"answers": [{"number": 2, "visible": false}, {"number": 1, "visible": true}, '
        '{"number": 3, "visible": true}]}',
        '["yes", "no", "yes"]',
        '{"1": {"answer": "yes", "because": "of its colour"}, "2": "no", "3": "yes"}',
        "Gladly:\n1. Yes\n2) no, that is felt\n- 3: **yes**",
    ],
)
def test_a_whole_answer_is_understood_in_many_shapes(text: str) -> None:
    assert read(text) == {1: "yes", 2: "no", 3: "yes"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"1": "yes", "3": "yes"}', "leaves out 2 of 1 to 3"),
        ('{"1": "yes", "2": null, "3": "yes"}', "leaves out 2"),
        ('{"answers": [{"number": 1, "visible": true}]}', "leaves out 2, 3"),
        ('{"1": "yes", "2": "no", "3": "yes", "4": "no"}', "names 4, and there are 1 to 3"),
        ('{"1": "yes", "2": "no", "3": "yes", "Mrs Quill": "no"}', "what is no number of the list"),
        ('{"1": "yes", "2": "no", "3": "perhaps"}', "on 3 is not one of: yes, no"),
        ('{"1": "yes", "1": "no", "2": "no", "3": "yes"}', "on 1 is not one of"),
        (FORM.example, "is not one of"),
        ("1. yes\n2. no", "leaves out 3"),
        ('["yes", "no"]', "leaves out 1, 2, 3"),
        ("I cannot say.", "not in the form"),
    ],
)
def test_half_an_answer_is_none(text: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        read(text)


def test_a_long_form_shows_how_it_goes_on() -> None:
    long = each_form("votes", 20, ("present", "absent", "not mentioned"))
    choice = json.dumps("present, absent or not mentioned")
    assert long.example == f'{{"1": {choice}, "2": {choice}, "3": {choice}, ..., "20": {choice}}}'
