"""Servers as they really are: other shapes, errors in odd places, refused names, half addresses."""

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.settings.llm import LlmPrices, LlmSpec
from curette.tasks.methods.llm.asking import Question, request_of
from curette.tasks.methods.llm.completion import Completion
from curette.tasks.methods.llm.faults import Fault, fault_in, fault_of
from tests.servers import Answer, Behaviour, Drip, Status, in_turn
from tests.tasks.methods.llm.askers import CONCEPTS, FORM, GOOD, Asker, asking

TEXT = str(GOOD.content)


def body(message: Any, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "x", "model": "tiny-1", "choices": [choice], **more}


def stream(*pieces: str) -> str:
    """Return the events of an answer that is streamed though nobody asked."""
    events: list[dict[str, Any]] = [
        {"choices": [{"delta": {"role": "assistant", "content": ""}}], "model": "tiny-1"}
    ]
    events += [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    events += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    events += [{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}]
    lines = [f"data: {json.dumps(event)}" for event in events]
    return "\n\n".join([": keep alive", *lines, "data: [DONE]", ""])


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"choices": [{"message": {"content": TEXT}}]},
        {"choices": [{"text": TEXT}]},
        {"choices": [{"message": {"content": TEXT}}, "garbage"], "usage": 3, "model": None},
        body({"content": TEXT}, usage=None, model=None),
        body({"content": TEXT}, usage={"prompt_tokens": None, "completion_tokens": "many"}),
        body({"content": TEXT, "refusal": None, "tool_calls": []}, error=None),
        body({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": TEXT}]}),
        body({"content": [{"type": "text", "text": TEXT[:9]}, {"type": "text", "text": TEXT[9:]}]}),
        body({"content": [TEXT]}),
        body({"content": None, "reasoning_content": TEXT}),
        body({"content": "", "reasoning": f"Let me think. {TEXT}"}),
        body({"content": TEXT, "reasoning_content": "- one\n- two"}),
        body({"content": {"type": "text", "text": TEXT}}),
        body({"content": None, "tool_calls": [{"function": {"arguments": TEXT}}]}),
        body({"content": "", "function_call": {"arguments": json.loads(TEXT)}}),
    ],
)
def test_nothing_but_the_first_choices_text_is_needed(tmp_path: Path, said: dict[str, Any]) -> None:
    with asking(in_turn(Status(200, json.dumps(said))), tmp_path) as asker:
        [answered] = asker.ask("one")
    assert answered.answer == CONCEPTS
    assert answered.response.requests == 1


def test_a_mark_of_byte_order_and_half_a_character_spoil_no_answer(tmp_path: Path) -> None:
    halved = json.dumps(body({"content": TEXT.replace("dark", "dark\ud800")}))
    with asking(in_turn(Status(200, b"\xef\xbb\xbf" + halved.encode())), tmp_path) as asker:
        [answered] = asker.ask("one")
    assert answered.answer is not None
    assert answered.answer.concepts == ("dark? brown", "round shape")


def test_a_stream_that_nobody_asked_for_is_put_together(tmp_path: Path) -> None:
    with asking(in_turn(Status(200, stream(TEXT[:5], TEXT[5:20], TEXT[20:]))), tmp_path) as asker:
        [answered] = asker.ask("one")
    assert answered.answer == CONCEPTS
    assert asker.server.bodies[0]["stream"] is False
    response = answered.response
    assert (response.model, response.prompt_tokens, response.completion_tokens) == ("tiny-1", 7, 5)


def test_an_answer_without_choices_fails_its_question_alone(tmp_path: Path) -> None:
    def filtered(asked: dict[str, Any]) -> Answer | Status:
        bad = asked["messages"][0]["content"] == "bad"
        return Status(200, json.dumps({"choices": [], "model": "m"})) if bad else GOOD

    with asking(filtered, tmp_path) as asker:
        good, bad, other = asker.ask("good", "bad", "other")
    assert [good.problem, bad.problem, other.problem] == ["", "the answer is empty", ""]


# --- errors -------------------------------------------------------------------------------------

BUSY = {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "Busy"}}}


@pytest.mark.parametrize(
    "said",
    [
        BUSY,
        {**BUSY, "choices": None, "usage": None},
        {"choices": [{"message": {"content": ""}, "error": {"code": 502, "message": "gone"}}]},
        {"error": {"type": "overloaded_error", "message": "Overloaded"}},
        [BUSY],
        {"status": 429, "title": "Too Many Requests", "detail": "slow down"},
        {"success": False, "errors": [{"code": 429, "message": "slow down"}], "result": None},
    ],
)
def test_a_passing_error_in_the_body_of_an_answer_is_sat_out(tmp_path: Path, said: Any) -> None:
    with asking(in_turn(Status(200, json.dumps(said)), GOOD), tmp_path) as asker:
        [answered] = asker.ask("one")
    assert answered.answer == CONCEPTS
    assert answered.response.requests == 2


def test_a_passing_error_that_does_not_pass_is_told_in_the_servers_words(tmp_path: Path) -> None:
    with (
        asking(in_turn(Status(200, json.dumps(BUSY))), tmp_path, max_retries=2) as asker,
        pytest.raises(StudyError, match=r"\(HTTP 429\) after 2 retries: Provider .* Busy"),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 3


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"code": 402, "message": "Insufficient credits"}, r"HTTP 402\): Insufficient credits"),
        ({"code": "402", "message": "Pay"}, r"HTTP 402\): Pay"),
        ({"code": 401, "message": "who?"}, "refuses the key"),
        ({"type": "insufficient_quota", "message": "no money"}, "nothing left"),
        ({"code": "billing_hard_limit_reached", "message": "no more"}, "nothing left"),
        ("model is not loaded", r"an error in the place of an answer\): model is not loaded"),
    ],
)
def test_an_error_that_no_waiting_cures_ends_the_run_at_once(
    tmp_path: Path, error: Any, told: str
) -> None:
    with (
        asking(in_turn(Status(200, json.dumps({"error": error}))), tmp_path) as asker,
        pytest.raises(StudyError, match=told),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 1


def test_an_error_in_a_list_is_shown_and_an_empty_account_in_one_not_waited_for(
    tmp_path: Path,
) -> None:
    quota = [{"error": {"code": 429, "message": "limit: 0", "status": "RESOURCE_EXHAUSTED"}}]
    with (
        asking(in_turn(Status(429, json.dumps(quota))), tmp_path, max_retries=1) as asker,
        pytest.raises(StudyError, match=r"HTTP 429\) after 1 retry: limit: 0\. "),
    ):
        asker.ask("one")
    quota[0]["error"]["status"] = "insufficient_quota"
    with (
        asking(in_turn(Status(429, json.dumps(quota))), tmp_path / "b", max_retries=6) as asker,
        pytest.raises(StudyError, match=r"HTTP 429\): limit: 0\. The account has nothing left"),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 1


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"detail": "no such model"}', "no such model"),
        ('{"error": "no such model"}', "no such model"),
        ('[{"error": {"message": "no such model"}}]', "no such model"),
        ('{"message": "no such model", "code": 3}', "no such model"),
        ('{"errors": [{"message": "no such model"}]}', "no such model"),
        ("404 page not found", "404 page not found"),
        ("", ""),
        ("[" * 10_000, "[" * 10_000),
    ],
)
def test_what_an_error_says_is_found_in_whatever_shape(said: str, message: str) -> None:
    assert fault_of(404, said).message == message


def test_a_body_without_an_error_has_none() -> None:
    assert fault_in(body({"content": TEXT})) is None
    assert fault_in({"error": None, "choices": []}) is None
    assert Completion.of({"choices": []}) == Completion(text="")
    with pytest.raises(Fault):
        Completion.read_from('data: {"error": {"message": "gone", "code": 502}}\n\n')


# --- what a server refuses is learnt once -------------------------------------------------------


def refusing(name: str, other: str) -> Behaviour:
    said = f"Unsupported parameter: '{name}' is not supported with this model. Use '{other}'."
    error = {"message": said, "param": name, "code": "unsupported_parameter"}
    return lambda asked: Status(400, json.dumps({"error": error})) if name in asked else GOOD


def test_the_limit_of_tokens_is_sent_under_its_other_name_where_one_is_refused(
    tmp_path: Path,
) -> None:
    prices = LlmPrices(prompt_usd=1, completion_usd=10)
    behave = refusing("max_tokens", "max_completion_tokens")
    with asking(behave, tmp_path, prices=prices, max_cost_usd=1.0) as asker:
        asker.ask("one", "two")
        asker.ask("three")
    sent = [
        [n for n in ("max_tokens", "max_completion_tokens") if n in b] for b in asker.server.bodies
    ]
    assert sent == [["max_tokens"], *[["max_completion_tokens"]] * 3]
    assert asker.server.formats() == ["json_schema"] * 4


def test_a_limit_that_is_refused_for_its_size_is_told(tmp_path: Path) -> None:
    large = Status(400, '{"error": {"message": "max_tokens is too large: at most 1000"}}')
    with (
        asking(in_turn(large), tmp_path) as asker,
        pytest.raises(StudyError, match="at most 1000"),
    ):
        asker.ask("one")


def test_the_format_that_a_server_takes_is_found_once_and_not_in_every_round(
    tmp_path: Path,
) -> None:
    def only_text(asked: dict[str, Any]) -> Answer | Status:
        return Status(400) if "response_format" in asked else GOOD

    with asking(only_text, tmp_path) as asker:
        for round_ in range(4):
            asker.ask(f"one {round_}", f"two {round_}")
    assert asker.server.formats() == ["json_schema", "json_object", "json_object", *[None] * 8]


def test_a_temperature_that_a_model_does_not_take_is_no_matter_of_formats(tmp_path: Path) -> None:
    said = "Unsupported value: 'temperature' does not support 0.8 with this model."
    with (
        asking(in_turn(Status(400, said)), tmp_path, temperature=0.8) as asker,
        pytest.raises(StudyError, match=r"Leave llm\.temperature out"),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 1


# --- thoughts that use up the limit -------------------------------------------------------------


def thinking(needed: int) -> Behaviour:
    """Answer where there is room for so many tokens of thoughts."""

    def behave(asked: dict[str, Any]) -> Answer | Status:
        limit = asked["max_tokens"]
        if limit >= needed:
            return GOOD
        usage = {
            "completion_tokens": limit,
            "completion_tokens_details": {"reasoning_tokens": limit},
        }
        said = body({"content": ""}, usage=usage)
        said["choices"][0]["finish_reason"] = "length"
        return Status(200, json.dumps(said))

    return behave


def test_an_answer_that_is_cut_off_gets_a_larger_limit_once_and_then_from_the_start(
    tmp_path: Path,
) -> None:
    with asking(thinking(3000), tmp_path, concurrency=1) as asker:
        answered = asker.ask("one", "two")
        answered += asker.ask("three")
    assert [a.answer for a in answered] == [CONCEPTS] * 3
    assert [b["max_tokens"] for b in asker.server.bodies] == [2000, 8000, 8000, 8000]


def test_a_model_that_only_thinks_ends_the_run_with_the_first_question(tmp_path: Path) -> None:
    with asking(thinking(10**6), tmp_path) as asker, pytest.raises(StudyError) as raised:
        asker.ask("one", "two", "three")
    assert [b["max_tokens"] for b in asker.server.bodies] == [2000, 8000]
    assert str(raised.value) == (
        f"tiny at {asker.server.base_url} has used up its limit of tokens before it answered: "
        "llm.max_tokens is 2,000, and with 8,000 nothing came either, and says that 8,000 tokens "
        "were thoughts. Give it more room for thoughts (llm.thinking_tokens, or llm.max_tokens), "
        "have it think less (llm.reasoning_effort), or take another model."
    )


def test_the_larger_limit_counts_against_the_budget(tmp_path: Path) -> None:
    prices = LlmPrices(prompt_usd=0, completion_usd=1000)
    with (
        asking(thinking(3000), tmp_path, prices=prices, max_cost_usd=9.0) as asker,
        pytest.raises(StudyError, match="could cost up to 8"),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 1


def test_one_cut_off_answer_among_others_is_a_failure_that_names_the_limit(tmp_path: Path) -> None:
    cut = Answer('{"concepts": ["dark', "length")
    with asking(in_turn(GOOD, cut, cut, GOOD), tmp_path, concurrency=1) as asker:
        _, failed, fine = asker.ask("one", "two", "three")
    assert failed.problem == (
        "the answer was cut off at its limit of tokens (llm.max_tokens, here 8,000)"
    )
    assert fine.answer == CONCEPTS


# --- addresses ----------------------------------------------------------------------------------


def at(asker: Asker, base_url: str, **settings: Any) -> Asker:
    asker.llm = LlmSpec(model="tiny", base_url=base_url, api_key_variable="SOME_KEY", **settings)
    return asker


def test_an_address_without_a_version_is_tried_with_one_once(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        at(asker, asker.server.base_url.removesuffix("/v1"))
        assert asker.ask("one")[0].answer == CONCEPTS
        asker.ask("two", "three")
    paths = [sent for sent, _ in asker.server.sent]
    assert paths == ["POST /chat/completions", *["POST /v1/chat/completions"] * 3]


def test_where_nothing_is_found_the_address_that_was_asked_is_named(tmp_path: Path) -> None:
    with asking(lambda _: Status(404, "404 page not found"), tmp_path) as asker:
        at(asker, asker.server.base_url.removesuffix("/v1"))
        with pytest.raises(StudyError) as raised:
            asker.ask("one")
    told = str(raised.value)
    assert f"Asked was POST {asker.server.base_url}/chat/completions. Is base_url right" in told
    assert "it mostly ends in /v1" in told
    assert "retr" not in told


@pytest.mark.parametrize("whole", ["chat/completions", "chat/completions/", "completions"])
def test_a_whole_address_is_cut_to_its_base(whole: str) -> None:
    llm = LlmSpec(model="m", base_url=f"http://localhost:8000/v1/{whole}")
    assert llm.server == "http://localhost:8000/v1"


def test_azures_older_address_is_asked_in_azures_way(tmp_path: Path, key: str) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        root = asker.server.base_url.removesuffix("/v1")
        at(asker, f"{root}/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01")
        assert asker.ask("one")[0].answer == CONCEPTS
    assert [sent for sent, _ in asker.server.sent] == [
        "POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01"
    ]
    assert asker.server.headers[0]["api-key"] == key
    assert "authorization" not in asker.server.headers[0]


@pytest.mark.parametrize(
    "query", ["key=abc", "api-version=1&sig=abc", "api-version=1&api-version=2", "api-version="]
)
def test_any_other_query_may_hold_a_secret(query: str) -> None:
    with pytest.raises(ValueError, match="must hold no user, password or query"):
        LlmSpec(model="m", base_url=f"https://x.openai.azure.com/openai?{query}")


def test_the_address_of_an_answer_is_what_the_study_says() -> None:
    llm = LlmSpec(model="m", base_url="http://localhost:8000")
    assert request_of(Question("one", FORM), llm).base_url == "http://localhost:8000"


# --- bounds -------------------------------------------------------------------------------------

ZEROS = b"0" * 40_000_000


@pytest.mark.parametrize(
    ("content", "encoding", "told"),
    [
        (ZEROS, None, "longer than 16 MiB"),
        (gzip.compress(ZEROS), "gzip", "longer than 16 MiB"),
        (zlib.compress(ZEROS), "deflate", "longer than 16 MiB"),
        (b"not packed", "gzip", "packed, and damaged"),
        (b"anything", "br", "packed as 'br', which was not asked for"),
    ],
)
def test_an_answer_that_is_too_large_packed_or_not_ends_the_run(
    tmp_path: Path, content: bytes, encoding: str | None, told: str
) -> None:
    headers = (("content-encoding", encoding),) if encoding else ()
    with (
        asking(in_turn(Status(200, content, headers)), tmp_path, max_retries=3) as asker,
        pytest.raises(StudyError, match=told),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 1


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_answer_of_a_bearable_size_is_read(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(json.dumps(body({"content": TEXT})).encode())
    kind = "gzip" if pack is gzip.compress else "deflate"
    answer = Status(200, packed, (("content-encoding", kind),))
    with asking(in_turn(answer), tmp_path) as asker:
        assert asker.ask("one")[0].answer == CONCEPTS
    assert asker.server.headers[0]["accept-encoding"] == "identity"


def test_an_answer_that_comes_in_drops_and_does_not_end_is_given_up(tmp_path: Path) -> None:
    with (
        asking(in_turn(Drip(0.05)), tmp_path, timeout_s=0.6, max_retries=1) as asker,
        pytest.raises(StudyError, match=r"no answer within 0\.6 s \(llm\.timeout_s\)"),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 2


def test_headers_of_any_size_do_not_hold_us_up(tmp_path: Path) -> None:
    odd = (("retry-after", "9" * 50_000), ("x-ratelimit-reset-requests", "1" * 30_000))
    with (
        asking(in_turn(Status(503, "{}", odd), GOOD), tmp_path) as asker,
        pytest.raises(StudyError, match=r"asks to wait for|HTTP 503"),
    ):
        asker.ask("one")
    huge = (("x-huge", "a" * 2_000_000),)
    with (
        asking(in_turn(Status(200, "{}", huge)), tmp_path / "b") as asker,
        pytest.raises(StudyError, match="does not answer"),
    ):
        asker.ask("one")


# --- how much a model thinks --------------------------------------------------------------------


def test_effort_and_room_for_thoughts_are_sent_where_a_study_names_them(tmp_path: Path) -> None:
    settings = {"reasoning_effort": "low", "thinking_tokens": 6000}
    with asking(thinking(3000), tmp_path, **settings) as asker:
        asker.ask("one", "two", "three")
    sent = [(b["reasoning_effort"], b["max_tokens"]) for b in asker.server.bodies]
    assert sent == [("low", 8000)] * 3


def test_a_server_that_knows_no_effort_is_asked_without_it_from_then_on(tmp_path: Path) -> None:
    said = "Unrecognized request argument supplied: reasoning_effort"
    refused = Status(400, json.dumps({"error": {"message": said}}))

    def behave(asked: dict[str, Any]) -> Answer | Status:
        return refused if "reasoning_effort" in asked else GOOD

    with asking(behave, tmp_path, reasoning_effort="low") as asker:
        answered = asker.ask("one", "two") + asker.ask("three")
    assert [a.answer for a in answered] == [CONCEPTS] * 3
    assert ["reasoning_effort" in b for b in asker.server.bodies] == [True, False, False, False]
    assert asker.server.formats() == ["json_schema"] * 4


def test_an_effort_that_a_model_does_not_take_is_told_and_never_left_out(tmp_path: Path) -> None:
    said = "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model."
    refused = Status(400, json.dumps({"error": {"message": said, "code": "unsupported_value"}}))
    with (
        asking(lambda _: refused, tmp_path, reasoning_effort="minimal") as asker,
        pytest.raises(StudyError, match=r"Set llm\.reasoning_effort to a value that this model"),
    ):
        asker.ask("one")
    assert len(asker.server.bodies) == 1


@pytest.mark.parametrize(
    ("usage", "written"),
    [
        ({"completion_tokens": 110, "total_tokens": 120}, 110),  # thoughts among them, as OpenAI
        ({"completion_tokens": 10, "total_tokens": 120}, 110),  # thoughts beside them, as xAI
        ({"completion_tokens": 10}, 110),
        ({"completion_tokens": 100}, 100),
    ],
)
def test_thoughts_are_paid_for_however_a_server_counts_them(
    tmp_path: Path, usage: dict[str, int], written: int
) -> None:
    counted = {
        "prompt_tokens": 10,
        "completion_tokens_details": {"reasoning_tokens": 100},
        **usage,
    }
    said = body({"content": TEXT}, usage=counted)
    with asking(lambda _: Status(200, json.dumps(said)), tmp_path) as asker:
        [answered] = asker.ask("one")
    assert answered.response.completion_tokens == written


def test_room_for_thoughts_counts_in_estimates_and_needs_a_limit_to_be_added_to() -> None:
    llm = LlmSpec(model="m", max_tokens=500, thinking_tokens=4000)
    assert [llm.expected_tokens(n) for n in (60, 900)] == [4060, 4500]
    with pytest.raises(ValueError, match="thinking_tokens are added to `max_tokens`"):
        LlmSpec(model="m", max_tokens=None, thinking_tokens=4000)


def test_a_study_that_says_nothing_of_thinking_is_kept_as_before() -> None:
    assert not {"reasoning_effort", "thinking_tokens"} & LlmSpec(model="m").identity().keys()
