import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from curette.schemas.responses import LlmResponse
from curette.tasks.methods.llm.reading import AnswerForm, Unusable, read_answer, response_format
from tests.tasks.methods.llm.askers import CONCEPTS, FORM


def said(text: str) -> LlmResponse:
    return LlmResponse(text=text, model="m", format="text")


@pytest.mark.parametrize(
    "text",
    [
        '{"concepts": ["dark brown", "round shape"]}',
        '{"concepts": ["dark brown", "round shape",],}',
        '["dark brown", "round shape"]',
        'Here {you} are: ["dark brown", "round shape"]',
        'Sure!\n```json\n{"concepts":\n ["dark brown",\n "round shape"]}\n```\nAnything else?',
        "```\n[\n 'no', \n```\n- dark brown\n- round shape",
        '<think>{"concepts": ["wrong"]}</think>{"concepts": ["dark brown", "round shape"]}',
        'It asks for {"concepts": ["wrong"]}.</think>{"concepts": ["dark brown", "round shape"]}',
        '{"concepts": ["dark\x00\tbrown", "round\nshape"]}',
        '{"concepts": ["dark brown", "round shape"], "note": "I hope this helps"}',
        "Statements:\n- dark brown\n- round shape",
    ],
)
def test_an_answer_is_found_however_it_is_wrapped(text: str) -> None:
    assert read_answer(said(text), FORM) == CONCEPTS


def test_blanks_inside_an_answer_stay_as_the_model_wrote_them() -> None:
    """A verbatim quote must be found again in its document."""
    read = read_answer(said(json.dumps({"concepts": ["two  blanks,\na line"]})), FORM)
    assert read.concepts == ("two  blanks,\na line",)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"concepts": [' * 50_000,
        "{" + "]" * 100_000,
        "[" + "," * 200_000,
        '{"concepts": ["' * 50_000,
        ("[" + "x" * 1000) * 1000,
    ],
)
def test_an_absurd_answer_is_unusable_rather_than_fatal(text: str) -> None:
    with pytest.raises(Unusable, match="not in the form"):
        read_answer(said(text), FORM)


# --- drafts, thoughts, examples -----------------------------------------------------------------

ANSWER = '{"concepts": ["dark brown", "round shape"]}'
DRAFT = '{"concepts": ["wrong"]}'


@pytest.mark.parametrize(
    "text",
    [
        f"First I thought of {DRAFT}, but better is {ANSWER}",
        f'The form is {{"concepts": [...]}}. Draft:\n- wrong one\n- wrong two\n{ANSWER}',
        f"[THINK]\n- wrong one\n- wrong two {DRAFT}\n[/THINK]\n{ANSWER}",
        f"<thinking>{DRAFT}</thinking>{ANSWER}",
        f"<Reasoning>a<think>b</think>{DRAFT}</Reasoning>\n{ANSWER}",
        f"◁think▷{DRAFT}◁/think▷{ANSWER}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|channel|>final<|message|>{ANSWER}",
        f"{ANSWER}\n<think>Was that right? {DRAFT}</think>",
        f'It wants {{"concepts": ["a statement"]}}: {ANSWER}',
        f'{ANSWER} has the form {{"concepts": ["a statement"]}}',
        f"{ANSWER} as in [1] and [2, 3]",
        f'{{"answer": {ANSWER}}}',
        '{"concepts": ["dark brown"], "concepts": ["round shape"]}',
    ],
)
def test_the_last_whole_object_of_the_form_is_the_answer(text: str) -> None:
    assert read_answer(said(text), FORM) == CONCEPTS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<think>- one more\n- and another", "a thought that does not end"),
        (f"<thinking>the answer is {DRAFT}", "a thought that does not end"),
        (f'<think lang="en">the answer is {DRAFT}', "a thought that does not end"),
        (f"<|begin_of_thought|>the answer is {DRAFT}", "a thought that does not end"),
        (f"<analysis>the answer is {DRAFT}", "a thought that does not end"),
        ("<think>" * 50_000, "a thought that does not end"),
        ('{"concepts": ["a statement"]}', "only repeats the form"),
        (f'{DRAFT} No: {{"concepts": ["dark brown", "round', "not in the form"),
        ('{"concepts": {"colour": ["dark brown"], "shape": ["round', "not in the form"),
        ('{"concepts": ["dark brown"\n- one\n- two', "not in the form"),
        ('{"wrong": ["dark brown"]}', "not in the form"),
    ],
)
def test_a_draft_a_thought_or_an_echo_is_no_answer(text: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        read_answer(said(text), FORM)


def test_an_answer_that_a_server_takes_for_thoughts_is_read_where_it_is_json() -> None:
    thought = LlmResponse(text="", thoughts=f"Hm. {ANSWER}", model="m", format="text")
    assert read_answer(thought, FORM) == CONCEPTS
    bullets = thought.model_copy(update={"thoughts": "- one\n- two"})
    with pytest.raises(Unusable, match="empty but for thoughts"):
        read_answer(bullets, FORM)


class Vote(BaseModel):
    number: int
    verdict: Literal["yes", "no"]


class Votes(BaseModel):
    votes: tuple[Vote, ...]
    comment: str | None = Field(default=None, max_length=100)

    @field_validator("votes")
    @classmethod
    def _each_once(cls, votes: tuple[Vote, ...]) -> tuple[Vote, ...]:
        if len({vote.number for vote in votes}) < len(votes):
            raise ValueError("a number is answered twice")
        return votes


VOTES = AnswerForm(name="votes", model=Votes, example='{"votes": []}')


def test_any_form_is_sent_as_a_strict_schema() -> None:
    assert response_format(VOTES)["json_schema"] == {
        "name": "votes",
        "strict": True,
        "schema": {
            "$defs": {
                "Vote": {
                    "type": "object",
                    "properties": {
                        "number": {"type": "integer"},
                        "verdict": {"type": "string", "enum": ["yes", "no"]},
                    },
                    "required": ["number", "verdict"],
                    "additionalProperties": False,
                }
            },
            "type": "object",
            "properties": {
                "votes": {"type": "array", "items": {"$ref": "#/$defs/Vote"}},
                "comment": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["votes", "comment"],
            "additionalProperties": False,
        },
    }


def test_the_sent_schema_says_nothing_of_our_code() -> None:
    assert "ours" not in json.dumps(response_format(FORM))
    assert "description" not in json.dumps(response_format(FORM))


class OfPairs(BaseModel):
    pairs: tuple[tuple[int, str], ...]


class OfNames(BaseModel):
    counts: dict[str, int]


@pytest.mark.parametrize("model", [OfPairs, OfNames])
def test_a_form_that_strict_mode_does_not_know_is_a_mistake_in_the_code(model: Any) -> None:
    with pytest.raises(TypeError, match="a form for answers cannot have"):
        response_format(AnswerForm(name="x", model=model, example="{}"))


def test_nested_answers_are_read_and_validated() -> None:
    good = '{"votes": [{"number": 1, "verdict": "no"}], "comment": null}'
    assert read_answer(said(good), VOTES) == Votes(votes=(Vote(number=1, verdict="no"),))
    with pytest.raises(Unusable, match="not in the form"):
        read_answer(said(good.replace("no", "perhaps")), VOTES)


def test_a_form_says_in_its_own_words_what_is_wrong() -> None:
    twice = '{"votes": [{"number": 1, "verdict": "no"}, {"number": 1, "verdict": "yes"}]}'
    with pytest.raises(Unusable, match=r"^a number is answered twice$"):
        read_answer(said(twice), VOTES)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"refusal": "no"}, "the model refused to answer"),
        ({"finish_reason": "content_filter"}, "the model refused to answer"),
        ({"finish_reason": "length"}, "the answer was cut off at its limit of tokens"),
        ({"error": "no answer came"}, "no answer came"),
    ],
)
def test_a_whole_answer_is_not_believed_where_the_server_says_it_is_none(
    response: dict[str, str], reason: str
) -> None:
    whole = said('{"concepts": ["dark brown", "round shape"]}')
    with pytest.raises(Unusable, match=f"^{reason}$"):
        read_answer(whole.model_copy(update=response), FORM)
