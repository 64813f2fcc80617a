"""OpenAI's Batch API, played by a real server on this machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.llm import Usage
from curette.schemas.settings.llm import LlmPrices
from curette.storage.responses import ResponseShelf
from curette.tasks.methods.llm.asking import usage_of
from curette.tasks.methods.llm.batch_files import in_shares
from curette.tasks.methods.llm.patience import Patience
from tests.servers import Answer, BatchPlan, Behaviour, Expired, Reply, Reset, Status, in_turn
from tests.tasks.methods.llm.askers import CONCEPTS, GOOD, Asker, asking

PROMPTS = tuple(f"question {i}" for i in range(6))
USELESS = Answer("I would rather talk of the weather.")


def first_time(troubles: dict[str, Reply]) -> Behaviour:
    """Give these prompts a trouble when they are asked first."""
    left = dict(troubles)
    return lambda body: left.pop(body["messages"][0]["content"], GOOD)


def created(asker: Asker) -> int:
    return sum(sent == "POST /v1/batches" for sent, _ in asker.server.sent)


def test_a_batch_brings_what_single_requests_bring(tmp_path: Path) -> None:
    def echo(body: dict[str, Any]) -> Answer:
        return Answer(json.dumps({"concepts": [body["messages"][0]["content"]]}))

    with asking(echo, tmp_path / "live") as asker:
        live = asker.ask(*PROMPTS)
        batched = Asker(asker.server, tmp_path / "batch", delivery="batch")
        answered = batched.ask(*PROMPTS)
        assert [a.answer for a in answered] == [a.answer for a in live]
        assert [a.request_sha256 for a in answered] == [a.request_sha256 for a in live]
        assert {a.response.delivery for a in answered} == {"batch"}
        assert batched.told == [0] + [1] * 6
        assert batched.ask(*PROMPTS) == answered
        assert created(batched) == 1


def test_a_line_asks_what_a_single_request_asks(tmp_path: Path, key: str) -> None:
    with asking(in_turn(GOOD), tmp_path, delivery="batch") as asker:
        [answered] = asker.ask("one")
    [upload] = [body for sent, body in asker.server.sent if sent == "POST /v1/files"]
    [line] = [json.loads(text) for text in upload.splitlines() if text.startswith("{")]
    assert line["custom_id"] == answered.request_sha256
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    assert line["body"] == asker.server.bodies[0]
    assert line["body"]["response_format"]["type"] == "json_schema"
    assert 'name="purpose"\r\n\r\nbatch' in upload
    [begun] = [json.loads(body) for sent, body in asker.server.sent if sent == "POST /v1/batches"]
    assert begun == {
        "input_file_id": "file-0",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }


@pytest.mark.parametrize("trouble", [Status(500), Status(429), Reset(), Expired(), USELESS])
def test_what_a_batch_leaves_open_is_asked_in_another(tmp_path: Path, trouble: Reply) -> None:
    troubles = {PROMPTS[1]: trouble, PROMPTS[4]: trouble}
    with asking(first_time(troubles), tmp_path, delivery="batch") as asker:
        answered = asker.ask(*PROMPTS)
    assert [a.answer for a in answered] == [CONCEPTS] * 6
    assert [a.response.attempts for a in answered] == [1, 2, 1, 1, 2, 1]
    assert created(asker) == 2
    assert len(asker.server.bodies) == 8
    assert ResponseShelf(tmp_path).open_batches() == []


def test_a_useless_line_is_shown_to_the_model_with_what_was_wrong(tmp_path: Path) -> None:
    with asking(first_time({"one": USELESS}), tmp_path, delivery="batch") as asker:
        asker.ask("one")
    again = asker.server.bodies[1]["messages"]
    assert again[1] == {"role": "assistant", "content": USELESS.content}
    assert "the answer is not in the form asked for" in again[2]["content"]


def test_a_lasting_useless_answer_is_kept_as_a_failure(tmp_path: Path) -> None:
    with asking(in_turn(USELESS), tmp_path, delivery="batch") as asker:
        [answered] = asker.ask("one")
        assert asker.ask("one") == [answered]
    assert answered.answer is None
    assert answered.response.text == USELESS.content
    assert answered.response.prompt_tokens == 300
    assert created(asker) == 3


def test_a_line_that_is_never_answered_fails_with_the_servers_reason_and_can_be_asked_again(
    tmp_path: Path,
) -> None:
    def behave(body: dict[str, Any]) -> Reply:
        return Expired() if body["messages"][0]["content"] == "two" else GOOD

    with asking(behave, tmp_path, delivery="batch") as asker:
        one, two = asker.ask("one", "two")
        assert one.answer == CONCEPTS
        assert two.answer is None
        assert two.problem == "no answer came in the batch: batch_expired: too late"
        assert usage_of([two], asker.llm) == Usage(requests=3)
        asker.server.behave = in_turn(GOOD)
        assert [a.answer for a in asker.ask("one", "two")] == [CONCEPTS, CONCEPTS]
    assert asker.server.prompts().count("one") == 1


def test_lines_that_refuse_the_schema_are_asked_in_json_mode(tmp_path: Path) -> None:
    def behave(body: dict[str, Any]) -> Reply:
        return Status(400) if body["response_format"]["type"] == "json_schema" else GOOD

    with asking(behave, tmp_path, delivery="batch") as asker:
        answered = asker.ask("one", "two")
    assert [a.answer for a in answered] == [CONCEPTS, CONCEPTS]
    assert [a.response.format for a in answered] == ["json_object", "json_object"]
    assert [a.response.attempts for a in answered] == [1, 1]


# --- restarts -------------------------------------------------------------------------------


def test_lines_that_know_no_effort_are_asked_without_it(tmp_path: Path) -> None:
    said = '{"error": {"message": "Unsupported parameter: \'reasoning_effort\'."}}'

    def behave(body: dict[str, Any]) -> Reply:
        return Status(400, said) if "reasoning_effort" in body else GOOD

    with asking(behave, tmp_path, delivery="batch", reasoning_effort="low") as asker:
        answered = asker.ask("one", "two")
    assert [a.answer for a in answered] == [CONCEPTS] * 2
    assert asker.server.formats() == ["json_schema"] * 4


def leave_early(asker: Asker, *prompts: str, stuck: str = "batch-0") -> None:
    """Ask, and end the run before the answers of a batch are there."""
    asker.server.plan = BatchPlan(looks=0, stuck=stuck)
    asker.patience = Patience(first_poll_s=0.001, longest_batch_s=0.0)
    with pytest.raises(StudyError, match=r"is still in_progress\. Run the study again"):
        asker.ask(*prompts)
    asker.server.plan = BatchPlan()


def test_a_run_that_starts_again_waits_for_the_same_batch(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, delivery="batch") as asker:
        leave_early(asker, *PROMPTS)
        answered = Asker(asker.server, tmp_path, delivery="batch").ask(*PROMPTS)
    assert [a.answer for a in answered] == [CONCEPTS] * 6
    assert created(asker) == 1
    assert len(asker.server.bodies) == 6


def test_a_run_with_more_questions_asks_only_those_that_are_not_under_way(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, delivery="batch") as asker:
        leave_early(asker, *PROMPTS[:4])
        answered = Asker(asker.server, tmp_path, delivery="batch").ask(*PROMPTS)
    assert [a.answer for a in answered] == [CONCEPTS] * 6
    assert sorted(asker.server.prompts()) == sorted(PROMPTS)


def test_questions_that_a_run_does_not_ask_stay_under_way(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, delivery="batch") as asker:
        leave_early(asker, *PROMPTS)
        again = Asker(asker.server, tmp_path, delivery="batch")
        again.ask(*PROMPTS[:2])
        [left] = again.shelf.open_batches()
        assert len(left.requests) == 4
        assert [a.answer for a in again.ask(*PROMPTS)] == [CONCEPTS] * 6
        assert again.shelf.open_batches() == []
    assert created(asker) == 1


def test_a_batch_that_began_when_the_run_ended_is_found_by_its_file(tmp_path: Path) -> None:
    """The server has begun, but its word did not reach us."""
    with asking(in_turn(GOOD), tmp_path, delivery="batch") as asker:
        leave_early(asker, *PROMPTS)
        [batch] = asker.shelf.open_batches()
        asker.shelf.keep_batch(batch.model_copy(update={"batch_id": ""}))
        answered = Asker(asker.server, tmp_path, delivery="batch").ask(*PROMPTS)
    assert [a.answer for a in answered] == [CONCEPTS] * 6
    assert created(asker) == 1


def test_a_run_that_ended_between_two_batches_goes_on_with_the_later(tmp_path: Path) -> None:
    with asking(first_time({PROMPTS[1]: USELESS}), tmp_path, delivery="batch") as asker:
        leave_early(asker, *PROMPTS)
        [first] = asker.shelf.open_batches()
        leave_early(asker, *PROMPTS, stuck="batch-1")
        [second] = asker.shelf.open_batches()
        asker.shelf.keep_batch(first)  # as if the run had ended before it was dropped
        answered = Asker(asker.server, tmp_path, delivery="batch").ask(*PROMPTS)
        assert asker.shelf.open_batches() == []
    assert len(second.requests) == 1
    assert [a.answer for a in answered] == [CONCEPTS] * 6
    assert created(asker) == 2
    assert [a.response.attempts for a in answered] == [1, 2, 1, 1, 1, 1]


def test_a_batch_that_the_server_has_lost_is_not_silently_paid_again(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, delivery="batch") as asker:
        leave_early(asker, *PROMPTS)
        asker.server.batches.clear()
        with pytest.raises(StudyError, match="does not know batch batch-0") as raised:
            asker.ask(*PROMPTS)
    [file] = (tmp_path / "responses" / "batches").iterdir()
    assert f"delete {file.name} in" in str(raised.value)


# --- batches that end badly -----------------------------------------------------------------


def test_a_failed_batch_fails_with_its_reason_and_is_handed_in_anew(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, delivery="batch") as asker:
        asker.server.plan = BatchPlan(ending="failed", reason="token limit of the queue")
        with pytest.raises(StudyError, match=r"batch-0 .* has ended as failed \(told: token limit"):
            asker.ask(*PROMPTS)
        asker.server.plan = BatchPlan()
        assert [a.answer for a in asker.ask(*PROMPTS)] == [CONCEPTS] * 6
    assert created(asker) == 2


def test_what_a_cancelled_batch_has_answered_is_kept(tmp_path: Path) -> None:
    troubles: dict[str, Reply] = {prompt: Reset() for prompt in PROMPTS[3:]}
    with asking(first_time(troubles), tmp_path, delivery="batch") as asker:
        asker.server.plan = BatchPlan(ending="cancelled")
        with pytest.raises(StudyError, match="has ended as cancelled"):
            asker.ask(*PROMPTS)
        asker.server.plan = BatchPlan()
        assert [a.answer for a in asker.ask(*PROMPTS)] == [CONCEPTS] * 6
    assert sorted(asker.server.prompts()) == sorted(PROMPTS + PROMPTS[3:])


def test_trouble_on_the_way_to_a_batch_is_sat_out(tmp_path: Path) -> None:
    """Whatever answers are lost on the way, there is one batch."""
    with asking(in_turn(GOOD), tmp_path, delivery="batch", max_retries=6) as asker:
        paths = (
            "POST /v1/files",
            "GET /v1/batches",
            "GET /v1/batches/batch-0",
            "GET /v1/files/batch-0-output_file_id/content",
        )
        asker.server.troubles = {path: [Reset(), Status(503)] for path in paths}
        asker.server.troubles["POST /v1/batches"] = [Reset()]  # it is looked for, and found
        answered = asker.ask(*PROMPTS)
        assert not any(asker.server.troubles.values())
    assert [a.answer for a in answered] == [CONCEPTS] * 6
    assert len(asker.server.batches) == 1


# --- money and shares -----------------------------------------------------------------------


def test_a_batch_costs_its_share_of_the_prices(tmp_path: Path) -> None:
    prices = LlmPrices(prompt_usd=1, completion_usd=10, batch_factor=0.5)
    with asking(in_turn(GOOD), tmp_path, delivery="batch", prices=prices) as asker:
        used = usage_of(asker.ask(*PROMPTS), asker.llm)
    assert used.cost_usd == pytest.approx(6 * (100 * 1 + 10 * 10) / 1e6 * 0.5)
    assert (used.requests, used.answers) == (6, 6)


def test_a_batch_that_does_not_fit_the_budget_is_not_handed_in(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, delivery="batch", max_requests=5) as asker:
        with pytest.raises(StudyError, match="0 are sent, and 6 more would pass the limit"):
            asker.ask(*PROMPTS)
        prices = LlmPrices(prompt_usd=0, completion_usd=1)
        dear = Asker(
            asker.server,
            tmp_path,
            delivery="batch",
            prices=prices,
            max_tokens=1000,
            max_cost_usd=0.0029,
        )
        with pytest.raises(StudyError, match=r"what comes next could cost up to 0\.0030"):
            dear.ask(*PROMPTS)
        assert asker.server.sent == []
        dear.ask(*PROMPTS[:5])
    assert created(dear) == 1


def test_shares_are_whole_in_order_and_bounded() -> None:
    bodies = {f"{i:064d}": {"prompt": "x" * i} for i in range(10)}
    assert [len(share) for share in in_shares(bodies, most=4)] == [4, 4, 2]
    assert [name for share in in_shares(bodies, most=4) for name in share] == list(bodies)
    assert [len(share) for share in in_shares(bodies, most_bytes=400)] == [2] * 5
    assert [len(share) for share in in_shares(bodies, most_bytes=1)] == [1] * 10
    assert list(in_shares({})) == []
