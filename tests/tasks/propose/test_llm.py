"""The language model is a real server on this machine; the client is never patched."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.artifact import StudyError
from schemas.candidates import LlmSource
from schemas.responses import LlmResponse
from storage.responses import ResponseShelf
from tasks.propose.llm import ATTEMPTS, Unusable, ask, read_concepts, write_request
from tests.servers import Answer, Behaviour, ChatServer, Reset, Status, chat_server, in_turn

GOOD = Answer('{"concepts": ["dark brown", "round shape"]}')
CONCEPTS = ("dark brown", "round shape")


class Asker:
    """One run against one server, with a store that outlives it."""

    def __init__(self, server: ChatServer, folder: Path, **settings: Any) -> None:
        self.server = server
        self.shelf = ResponseShelf(folder)
        self.told: list[int] = []
        given = {"concurrency": 4, "max_retries": 1, "api_key_variable": "SOME_KEY", **settings}
        self.source = LlmSource(kind="llm", model="tiny", base_url=server.base_url, **given)

    def ask(self, *prompts: str) -> list[LlmResponse]:
        requests = [write_request(self.source, prompt, 0) for prompt in prompts]
        return ask(requests, self.source, self.shelf, self.told.append)


@contextmanager
def asking(behave: Behaviour, folder: Path, **settings: Any) -> Iterator[Asker]:
    with chat_server(behave) as server:
        yield Asker(server, folder, **settings)


def kept(folder: Path) -> str:
    return "".join(p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file())


# --- the ladder of response formats ---------------------------------------------------------


def test_a_strict_schema_is_asked_for_first(tmp_path: Path, key: str) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        [response] = asker.ask("which colours?")
    assert read_concepts(response) == CONCEPTS
    [body] = asker.server.bodies
    form = body["response_format"]["json_schema"]
    assert form["strict"] is True
    assert form["schema"]["additionalProperties"] is False
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "which colours?"}],
        "response_format": body["response_format"],
        "temperature": 0.8,
        "max_tokens": 2000,
    }
    assert asker.server.keys == [f"Bearer {key}"]


def refusing(status: int, *formats: str) -> Behaviour:
    """Refuse these response formats."""

    def behave(body: dict[str, Any]) -> Answer | Status:
        return Status(status) if body.get("response_format", {}).get("type") in formats else GOOD

    return behave


@pytest.mark.parametrize("status", [400, 404, 422, 501])
def test_a_server_that_refuses_the_schema_is_asked_in_json_mode(
    tmp_path: Path, status: int
) -> None:
    with asking(refusing(status, "json_schema"), tmp_path, max_retries=0) as asker:
        responses = asker.ask("one", "two", "three")
    assert [r.format for r in responses] == ["json_object"] * 3
    assert asker.server.formats() == ["json_schema", *["json_object"] * 3]


def test_a_server_that_breaks_on_the_schema_is_asked_in_json_mode(tmp_path: Path) -> None:
    with asking(refusing(500, "json_schema"), tmp_path, max_retries=1) as asker:
        [response] = asker.ask("one")
    assert read_concepts(response) == CONCEPTS
    assert asker.server.formats() == ["json_schema", "json_schema", "json_object"]


def test_a_server_that_knows_no_format_is_asked_for_text(tmp_path: Path) -> None:
    with asking(refusing(400, "json_schema", "json_object"), tmp_path) as asker:
        responses = asker.ask("one", "two")
    assert [r.format for r in responses] == ["text", "text"]
    assert asker.server.formats() == ["json_schema", "json_object", None, None]


def test_a_server_that_ignores_the_schema_is_read_all_the_same(tmp_path: Path) -> None:
    fenced = Answer("Sure!\n```json\n" + str(GOOD.content) + "\n```\nAnything else?")
    with asking(in_turn(fenced), tmp_path) as asker:
        [response] = asker.ask("one")
    assert read_concepts(response) == CONCEPTS
    assert len(asker.server.bodies) == 1


def test_a_format_that_worked_is_not_given_up_for_one_refused_request(tmp_path: Path) -> None:
    with (
        asking(in_turn(GOOD, Status(400)), tmp_path, concurrency=1) as asker,
        pytest.raises(StudyError, match=r"refuses or fails \(HTTP 400\)"),
    ):
        asker.ask("one", "two")
    assert asker.server.formats() == ["json_schema", "json_schema"]


def test_settings_that_a_model_refuses_can_be_left_out(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, temperature=None, max_tokens=None) as asker:
        asker.ask("one")
    assert not {"temperature", "max_tokens", "max_completion_tokens"} & set(asker.server.bodies[0])


def test_openai_itself_is_told_the_limit_under_its_new_name() -> None:
    request = write_request(LlmSource(kind="llm", model="m"), "one", 0)
    assert request.base_url == "https://api.openai.com/v1"
    assert request.body["max_completion_tokens"] == 2000
    assert "max_tokens" not in request.body


# --- patience -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [Status(429, headers=(("retry-after", "0.01"),)), Status(500), Status(503), Reset()]
)
def test_passing_trouble_is_sat_out(tmp_path: Path, trouble: Status | Reset) -> None:
    with asking(in_turn(trouble, GOOD), tmp_path) as asker:
        [response] = asker.ask("one")
    assert read_concepts(response) == CONCEPTS
    assert asker.server.formats() == ["json_schema", "json_schema"]


@pytest.mark.parametrize("trouble", [Status(429), Status(503), Reset()])
def test_lasting_trouble_fails_with_the_servers_address(
    tmp_path: Path, trouble: Status | Reset
) -> None:
    with (
        asking(in_turn(trouble), tmp_path, max_retries=0) as asker,
        pytest.raises(StudyError) as raised,
    ):
        asker.ask("one", "two")
    assert asker.server.base_url in str(raised.value)
    assert "Answers that came are kept: run the study again" in str(raised.value)
    assert len(asker.server.bodies) == 1


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, max_retries=0) as asker:
        pass
    with pytest.raises(StudyError, match=r"does not answer .* Is it running"):
        asker.ask("one")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_tried_again_and_its_variable_is_named(
    tmp_path: Path, key: str, status: int
) -> None:
    echo = Status(status, json.dumps({"error": {"message": f"wrong key {key}"}}))
    with (
        asking(in_turn(echo), tmp_path, max_retries=3) as asker,
        pytest.raises(StudyError) as raised,
    ):
        asker.ask("one", "two")
    assert str(raised.value) == (
        f"the language model's server {asker.server.base_url} refuses the key (HTTP {status}). "
        "Check the environment variable SOME_KEY, and that its key may use the model tiny."
    )
    assert len(asker.server.bodies) == 1


@pytest.mark.parametrize("body", ["<html>login</html>", '{"error": {"message": "no"}}', "[]"])
def test_what_is_no_chat_completion_fails_and_is_shown(tmp_path: Path, body: str) -> None:
    with (
        asking(in_turn(Status(200, body)), tmp_path) as asker,
        pytest.raises(StudyError, match="not with chat completions: ") as raised,
    ):
        asker.ask("one")
    assert body in str(raised.value)
    assert not kept(tmp_path)


def test_no_more_requests_are_under_way_than_allowed(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, concurrency=3) as asker:
        asker.ask(*(f"question {i}" for i in range(20)))
    assert len(asker.server.bodies) == 20
    assert asker.server.most_under_way <= 3


# --- useless answers ------------------------------------------------------------------------

USELESS = [
    (Answer('{"concepts": ["dark', "length"), "the answer was cut off at its limit of tokens"),
    (Answer(None, refusal="I will not"), "the model refused to answer"),
    (Answer("", "content_filter"), "the model refused to answer"),
    (Answer(""), "the answer is empty"),
    (Answer(None), "the answer is empty"),
    (Answer("%§ ~~ {{ ]"), "the answer is not in the form asked for"),
    (Answer('{"concepts": []}'), "the answer holds no statement"),
    (Answer('{"concepts": "dark brown"}'), "the answer is not in the form asked for"),
    (Answer('{"concepts": [{"text": "dark"}]}'), "the answer is not in the form asked for"),
]


@pytest.mark.parametrize(("useless", "reason"), USELESS)
def test_a_useless_answer_is_asked_again_and_the_good_one_kept(
    tmp_path: Path, useless: Answer, reason: str
) -> None:
    with asking(in_turn(useless, GOOD), tmp_path) as asker:
        [response] = asker.ask("one")
    assert read_concepts(response) == CONCEPTS
    assert (response.attempts, response.prompt_tokens, response.completion_tokens) == (2, 200, 20)
    again = asker.server.bodies[1]["messages"]
    assert again[0] == {"role": "user", "content": "one"}
    if wrong := (useless.refusal or useless.content):
        assert [m["role"] for m in again] == ["user", "assistant", "user"]
        assert again[1]["content"] == wrong
        assert reason in again[2]["content"]
    else:
        assert len(again) == 1


@pytest.mark.parametrize(("useless", "reason"), USELESS)
def test_a_useless_answer_is_given_up_after_some_attempts_and_kept(
    tmp_path: Path, useless: Answer, reason: str
) -> None:
    with asking(in_turn(useless), tmp_path) as asker:
        [response] = asker.ask("one")
        assert asker.ask("one") == [response]
    with pytest.raises(Unusable, match=f"^{re.escape(reason)}$"):
        read_concepts(response)
    assert len(asker.server.bodies) == ATTEMPTS == response.attempts


# --- nothing is paid for twice --------------------------------------------------------------


def test_what_was_answered_is_never_asked_again(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        first = asker.ask("one", "two")
        assert asker.told == [0, 1, 1]
        assert asker.ask("one", "two") == first
        assert asker.told == [0, 1, 1, 2]
    assert len(asker.server.bodies) == 2


def test_stored_answers_need_neither_server_nor_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        first = asker.ask("one")
    monkeypatch.delenv("SOME_KEY")
    assert asker.ask("one") == first


def test_answers_are_stored_whatever_format_the_server_took(tmp_path: Path) -> None:
    with asking(refusing(400, "json_schema"), tmp_path) as asker:
        asker.ask("one")
        asker.ask("one")
    assert len(asker.server.bodies) == 2


def test_after_a_failure_only_the_rest_is_asked(tmp_path: Path) -> None:
    with asking(in_turn(GOOD, GOOD, Status(503)), tmp_path, concurrency=1, max_retries=0) as asker:
        with pytest.raises(StudyError, match="HTTP 503"):
            asker.ask("one", "two", "three", "four")
        asker.server.behave = in_turn(GOOD)
        assert len(asker.ask("one", "two", "three", "four")) == 4
    asked = [body["messages"][0]["content"] for body in asker.server.bodies]
    assert asked == ["one", "two", "three", "three", "four"]


def test_another_draw_asks_afresh(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        asker.ask("one")
        Asker(asker.server, tmp_path, draw=1).ask("one")
    assert len(asker.server.bodies) == 2
    assert asker.server.bodies[0] == asker.server.bodies[1]


# --- keys -----------------------------------------------------------------------------------


def test_a_key_reaches_no_file_log_or_error(
    tmp_path: Path,
    key: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = Answer(json.dumps({"concepts": [f"you sent {key}", "dark brown"]}))
    failing = Status(400, json.dumps({"error": {"message": f"bad header Bearer {key}"}}))
    with (
        asking(in_turn(echo, failing), tmp_path, concurrency=1) as asker,
        pytest.raises(StudyError) as raised,
    ):
        asker.ask("one", "two")
    assert key in str(asker.server.keys)  # it was sent
    assert key not in kept(tmp_path)
    assert "dark brown" in kept(tmp_path)
    assert "you sent [key]" in kept(tmp_path)
    assert key not in str(raised.value)
    assert key not in "".join(str(record.__dict__) for record in caplog.records)
    assert key not in "".join(capfd.readouterr())


def test_a_server_elsewhere_needs_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_KEY", "  ")
    source = LlmSource(kind="llm", model="m", api_key_variable="SOME_KEY")
    with pytest.raises(StudyError, match="set the environment variable SOME_KEY") as raised:
        ask([write_request(source, "one", 0)], source, ResponseShelf(tmp_path), lambda count: None)
    assert "no key for https://api.openai.com/v1" in str(raised.value)


def test_a_server_on_this_machine_needs_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SOME_KEY")
    with asking(in_turn(GOOD), tmp_path) as asker:
        asker.ask("one")
    assert asker.server.keys == ["Bearer unused"]


def test_a_key_with_a_line_break_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-1\nsk-2")
    with (
        asking(in_turn(GOOD), tmp_path) as asker,
        pytest.raises(StudyError, match="SOME_KEY holds blanks or characters") as raised,
    ):
        asker.ask("one")
    assert "sk-1" not in str(raised.value)


# --- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"concepts": ["dark brown", "round shape"]}',
        '{"concepts": ["dark brown", "round shape",],}',
        '["dark brown", "round shape"]',
        'Here {you} are: ["dark brown", "round shape"]',
        "```\n[\n 'no', \n```\n- dark brown\n- round shape",
        '<think>{"concepts": ["wrong"]}</think>{"concepts": ["dark brown", "round shape"]}',
        '{"concepts": ["dark\x00\tbrown", "round\nshape"]}',
        "1. dark brown\n2) round shape\n\nI hope this helps.",
        "Statements:\n * dark brown\n * round shape",
    ],
)
def test_concepts_are_found_however_they_are_wrapped(text: str) -> None:
    response = LlmResponse(text=text, model="m", format="text")
    assert read_concepts(response) == CONCEPTS


@pytest.mark.parametrize("text", ["[" * 200_000, '{"concepts": [' * 50_000, "{" + "]" * 100_000])
def test_an_absurd_answer_is_unusable_rather_than_fatal(text: str) -> None:
    with pytest.raises(Unusable, match="not in the form"):
        read_concepts(LlmResponse(text=text, model="m", format="text"))
