"""The language model is a real server on this machine; the client is never patched."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.llm import Usage
from curette.schemas.settings.llm import LlmSpec
from curette.storage.responses import ResponseShelf
from curette.tasks.methods.llm.asking import Question, ask, request_of
from curette.tasks.methods.llm.client import Secrecy
from curette.tasks.methods.llm.completion import ATTEMPTS
from tests.servers import Answer, Behaviour, Reset, Slow, Status, chat_server, in_turn
from tests.tasks.methods.llm.askers import CONCEPTS, FORM, GOOD, QUICK, Asker, asking, kept

# --- the ladder of response formats ---------------------------------------------------------


def test_a_strict_schema_is_asked_for_first(tmp_path: Path, key: str) -> None:
    with asking(in_turn(GOOD), tmp_path, temperature=0.8) as asker:
        [answered] = asker.ask("which colours?")
    assert answered.answer == CONCEPTS
    assert answered.problem == ""
    schema = {
        "type": "object",
        "properties": {"concepts": {"type": "array", "items": {"type": "string"}}},
        "required": ["concepts"],
        "additionalProperties": False,
    }
    assert asker.server.bodies == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "which colours?"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "concepts", "strict": True, "schema": schema},
            },
            "temperature": 0.8,
            "max_tokens": 2000,
            "stream": False,
        }
    ]
    assert asker.server.keys == [f"Bearer {key}"]


def refusing(status: int, *formats: str) -> Behaviour:
    """Refuse these response formats."""

    def behave(body: dict[str, Any]) -> Answer | Status:
        return Status(status) if body.get("response_format", {}).get("type") in formats else GOOD

    return behave


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_server_that_refuses_the_schema_is_asked_in_json_mode(
    tmp_path: Path, status: int
) -> None:
    with asking(refusing(status, "json_schema"), tmp_path, max_retries=6) as asker:
        answered = asker.ask("one", "two", "three")
    assert [a.response.format for a in answered] == ["json_object"] * 3
    assert asker.server.formats() == ["json_schema", *["json_object"] * 3]
    assert [a.response.requests for a in answered] == [2, 1, 1]


@pytest.mark.parametrize("status", [500, 501])
def test_a_server_that_breaks_on_the_schema_is_tried_once_more_and_asked_in_json_mode(
    tmp_path: Path, status: int
) -> None:
    with asking(refusing(status, "json_schema"), tmp_path, max_retries=6) as asker:
        [answered] = asker.ask("one")
    assert answered.answer == CONCEPTS
    assert answered.response.requests == 3
    assert asker.server.formats() == ["json_schema", "json_schema", "json_object"]


def test_a_server_that_knows_no_format_is_asked_for_text(tmp_path: Path) -> None:
    with asking(refusing(400, "json_schema", "json_object"), tmp_path) as asker:
        answered = asker.ask("one", "two")
    assert [a.response.format for a in answered] == ["text", "text"]
    assert asker.server.formats() == ["json_schema", "json_object", "json_object", None, None]
    with_schema, without = (body["response_format"] for body in asker.server.bodies[1:3])
    assert with_schema["schema"]["required"] == ["concepts"]
    assert without == {"type": "json_object"}


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_is_down_says_nothing_of_the_schema(tmp_path: Path, status: int) -> None:
    with (
        asking(refusing(status, "json_schema"), tmp_path, max_retries=2) as asker,
        pytest.raises(StudyError, match=f"HTTP {status}"),
    ):
        asker.ask("one")
    assert asker.server.formats() == ["json_schema"] * 3


def test_a_server_that_ignores_the_schema_is_read_all_the_same(tmp_path: Path) -> None:
    fenced = Answer("Sure!\n```json\n" + str(GOOD.content) + "\n```\nAnything else?")
    with asking(in_turn(fenced), tmp_path) as asker:
        [answered] = asker.ask("one")
    assert answered.answer == CONCEPTS
    assert len(asker.server.bodies) == 1


def test_a_format_that_worked_is_not_given_up_for_one_refused_request(tmp_path: Path) -> None:
    with asking(in_turn(GOOD, Status(400), GOOD), tmp_path, concurrency=1) as asker:
        one, two, three = asker.ask("one", "two", "three")
    assert asker.server.formats() == ["json_schema"] * 3
    assert (one.problem, three.problem) == ("", "")
    assert two.answer is None
    assert two.problem.startswith("the server does not take this question")


def test_a_question_that_a_server_would_not_take_is_asked_again_in_the_next_run(
    tmp_path: Path,
) -> None:
    with asking(in_turn(GOOD, Status(400), GOOD), tmp_path, concurrency=1) as asker:
        asker.ask("one", "two")
        again = asker.ask("one", "two")
    assert [answered.problem for answered in again] == ["", ""]
    assert len(asker.server.bodies) == 3


def test_settings_that_a_model_refuses_can_be_left_out(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, temperature=None, max_tokens=None) as asker:
        asker.ask("one")
    assert not {"temperature", "max_tokens", "max_completion_tokens"} & set(asker.server.bodies[0])


def test_openai_itself_is_told_the_limit_under_its_new_name() -> None:
    request = request_of(Question("one", FORM), LlmSpec(model="m"))
    assert request.base_url == "https://api.openai.com/v1"
    assert request.body["max_completion_tokens"] == 2000
    assert "max_tokens" not in request.body


def test_the_address_of_a_question_is_what_earlier_versions_gave_it() -> None:
    """Every answer paid for would be asked again if this changed."""
    llm = LlmSpec(model="m", draw=1, temperature=0.8)
    request = request_of(Question("one", FORM, sample=2), llm)
    assert request.sha256 == "d493808b493db0c09e86ab687effe304182867d297f36be0095bfa8f586724b8"


# --- patience -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        Status(408),
        Status(409),
        Status(429, headers=(("retry-after", "0.01"),)),
        Status(500),
        Status(503),
        Status(529),
        Reset(),
        Slow(60, GOOD),
    ],
)
def test_passing_trouble_is_sat_out(tmp_path: Path, trouble: Status | Reset | Slow) -> None:
    settings = {"timeout_s": 2} if isinstance(trouble, Slow) else {}
    with asking(in_turn(trouble, GOOD), tmp_path, **settings) as asker:
        [answered] = asker.ask("one")
    assert answered.answer == CONCEPTS
    assert answered.response.requests == 2
    assert answered.response.attempts == 1
    assert asker.server.formats() == ["json_schema", "json_schema"]


@pytest.mark.parametrize("trouble", [Status(429), Status(503), Reset()])
def test_lasting_trouble_fails_with_the_servers_address(
    tmp_path: Path, trouble: Status | Reset
) -> None:
    with (
        asking(in_turn(trouble), tmp_path, max_retries=2) as asker,
        pytest.raises(StudyError) as raised,
    ):
        asker.ask("one", "two")
    assert asker.server.base_url in str(raised.value)
    assert "Answers that came are kept: run the study again" in str(raised.value)
    assert len(asker.server.bodies) == 3


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


def test_an_empty_account_is_not_waited_for(tmp_path: Path) -> None:
    error = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
    empty = Status(429, json.dumps({"error": error}))
    with (
        asking(in_turn(empty), tmp_path, max_retries=3) as asker,
        pytest.raises(StudyError, match="exceeded your current quota"),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 1


@pytest.mark.parametrize("body", ["<html>login</html>", '{"choices": null}', "[]", "[" * 10**5])
def test_what_is_no_chat_completion_fails_and_is_shown(tmp_path: Path, body: str) -> None:
    with (
        asking(in_turn(Status(200, body)), tmp_path) as asker,
        pytest.raises(StudyError, match="not with chat completions: ") as raised,
    ):
        asker.ask("one")
    assert body[:100] in str(raised.value)
    assert len(asker.server.bodies) == 1
    assert not kept(tmp_path)


def test_garbage_from_a_server_that_has_worked_is_asked_again(tmp_path: Path) -> None:
    garbage = Status(200, b"\xff\xfe\x00 not json")
    with asking(in_turn(GOOD, garbage, GOOD), tmp_path, concurrency=1) as asker:
        answered = asker.ask("one", "two")
    assert [a.answer for a in answered] == [CONCEPTS, CONCEPTS]
    assert asker.server.prompts() == ["one", "two", "two"]


def test_no_more_requests_are_under_way_than_allowed(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, concurrency=3) as asker:
        asker.ask(*(f"question {i}" for i in range(20)))
    assert len(asker.server.bodies) == 20
    assert asker.server.most_under_way <= 3


# --- useless answers ------------------------------------------------------------------------

USELESS = [
    (Answer(None, refusal="I will not"), "the model refused to answer"),
    (Answer("", "content_filter"), "the model refused to answer"),
    (Answer(""), "the answer is empty"),
    (Answer(None), "the answer is empty"),
    (Answer("%§ ~~ {{ ]"), "the answer is not in the form asked for"),
    (Answer('{"concepts": []}'), "the answer holds too little"),
    (Answer('{"concepts": "dark brown"}'), "the answer is not in the form asked for"),
    (Answer('{"concepts": [{"text": "dark"}]}'), "the answer is not in the form asked for"),
]


@pytest.mark.parametrize(("useless", "reason"), USELESS)
def test_a_useless_answer_is_asked_again_and_the_good_one_kept(
    tmp_path: Path, useless: Answer, reason: str
) -> None:
    with asking(in_turn(useless, GOOD), tmp_path) as asker:
        [answered] = asker.ask("one")
    assert answered.answer == CONCEPTS
    response = answered.response
    assert (response.attempts, response.requests) == (2, 2)
    assert (response.prompt_tokens, response.completion_tokens) == (200, 20)
    again = asker.server.bodies[1]["messages"]
    assert again[0] == {"role": "user", "content": "one"}
    if wrong := (useless.refusal or useless.content):
        assert [m["role"] for m in again] == ["user", "assistant", "user"]
        assert again[1]["content"] == wrong
        assert reason in again[2]["content"]
        assert FORM.example in again[2]["content"]
    else:
        assert len(again) == 1


@pytest.mark.parametrize(("useless", "reason"), USELESS)
def test_a_useless_answer_is_given_up_after_some_attempts_and_kept(
    tmp_path: Path, useless: Answer, reason: str
) -> None:
    with asking(in_turn(useless), tmp_path) as asker:
        [answered] = asker.ask("one")
        assert asker.ask("one") == [answered]
    assert answered.answer is None
    assert answered.problem == reason
    assert answered.response.text == (useless.content or "")
    assert len(asker.server.bodies) == ATTEMPTS == answered.response.attempts


# --- nothing is paid for twice --------------------------------------------------------------


def test_what_was_answered_is_never_asked_again(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        first = asker.ask("one", "two")
        assert asker.told == [0, 1, 1]
        assert asker.ask("one", "two") == first
        assert asker.told == [0, 1, 1, 2]
    assert len(asker.server.bodies) == 2


def test_equal_questions_are_asked_once_and_another_sample_again(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        answered = asker.ask("one", "two", "one")
        assert asker.told == [0, 2, 1]
        assert answered[0] == answered[2]
        more = [Question("one", FORM, sample=1)]
        ask(more, asker.llm, asker.shelf, Usage(), asker.told.append, QUICK)
    assert asker.server.prompts() == ["one", "two", "one"]


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
    assert asker.server.prompts() == ["one", "two", "three", "three", "four"]


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
    with asking(in_turn(echo, failing), tmp_path, concurrency=1) as asker:
        _, failed = asker.ask("one", "two")
    assert key in str(asker.server.keys)  # it was sent
    assert key not in kept(tmp_path)
    assert "dark brown" in kept(tmp_path)
    assert "you sent [key]" in kept(tmp_path)
    assert "bad header Bearer [key]" in failed.problem
    assert key not in "".join(str(record.__dict__) for record in caplog.records)
    assert key not in "".join(capfd.readouterr())


def test_a_server_elsewhere_needs_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_KEY", "  ")
    llm = LlmSpec(model="m", api_key_variable="SOME_KEY")
    with pytest.raises(StudyError, match="set the environment variable SOME_KEY") as raised:
        ask([Question("one", FORM)], llm, ResponseShelf(tmp_path), Usage(), lambda count: None)
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


# --- what is confidential ----------------------------------------------------------------------


def ask_as(secrecy: Secrecy, asker: Asker) -> None:
    questions = [Question("one", FORM)]
    ask(questions, asker.llm, asker.shelf, Usage(), asker.told.append, QUICK, secrecy)


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_a_proxy_of_the_environment_gets_ordinary_questions_to_others_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with chat_server(in_turn(GOOD)) as proxy, asking(in_turn(GOOD), tmp_path / "a") as asker:
        monkeypatch.setenv(variable, proxy.base_url.removesuffix("/v1"))
        ask_as("ordinary", asker)
        assert len(asker.server.sent) == 1
        assert proxy.sent == [], "what is on this machine is reached directly"
        asker.llm = LlmSpec(
            model="m", base_url="http://a.test/v1", api_key_variable="SOME_KEY", max_retries=0
        )
        ask_as("ordinary", asker)
        [(sent, _)] = proxy.sent
        assert sent == "POST http://a.test/v1/chat/completions"
        asker.shelf = ResponseShelf(tmp_path / "b")
        with pytest.raises(StudyError, match="Reports and images go through no proxy"):
            ask_as("confidential", asker)
        assert len(proxy.sent) == 1


def test_certificates_of_the_environment_are_used_for_confidential_questions_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there shows who was asked for certificates."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "our-own-ca.pem"))
    with asking(in_turn(GOOD), tmp_path) as asker, pytest.raises(FileNotFoundError):
        ask_as("confidential", asker)


def test_where_only_a_proxy_would_reach_the_server_the_error_says_that_none_is_used(
    tmp_path: Path,
) -> None:
    with asking(in_turn(Reset()), tmp_path) as asker:
        with pytest.raises(StudyError, match="Reports and images go through no proxy"):
            ask_as("confidential", asker)
        with pytest.raises(StudyError, match="does not answer") as caught:
            ask_as("ordinary", asker)
    assert "proxy" not in str(caught.value)
