"""How many requests are under way at a time, and what is said when an answer does not come."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from curette.schemas.artifact import StudyError
from curette.tasks.methods.llm.pace import Pace
from tests.servers import Answer, Behaviour, Slow, in_turn
from tests.tasks.methods.llm.askers import CONCEPTS, GOOD, asking


def one_after_the_other(seconds: float) -> Behaviour:
    """Answer one request at a time, as a model on somebody's own machine does."""
    slot = threading.Lock()

    def behave(body: dict[str, Any]) -> Answer:
        with slot:
            time.sleep(seconds)
        return GOOD

    return behave


def test_a_server_with_one_slot_is_not_asked_more_than_it_can_answer_in_time(
    tmp_path: Path,
) -> None:
    """A third of a time-out an answer, eight at a time wished for: nothing is asked in vain."""
    settings = {"concurrency": 8, "timeout_s": 1.5, "max_retries": 6}
    with asking(one_after_the_other(0.5), tmp_path, **settings) as asker:
        answered = asker.ask(*(f"question {i}" for i in range(8)))
    assert [a.answer for a in answered] == [CONCEPTS] * 8
    assert len(asker.server.bodies) == 8
    assert asker.server.most_under_way <= 2


def test_a_server_that_slows_down_is_asked_less_and_everything_is_answered(tmp_path: Path) -> None:
    """The first answer is quick, so that eight go at once; then each takes its time."""
    slot = threading.Lock()
    first = threading.Event()

    def behave(body: dict[str, Any]) -> Answer:
        if not first.is_set():
            first.set()
            return GOOD
        with slot:
            time.sleep(0.15)
        return GOOD

    with asking(behave, tmp_path, concurrency=8, timeout_s=0.6, max_retries=6) as asker:
        answered = asker.ask(*(f"question {i}" for i in range(20)))
    assert [a.answer for a in answered] == [CONCEPTS] * 20


def test_a_quick_server_is_asked_as_much_as_the_study_allows(tmp_path: Path) -> None:
    barrier = threading.Barrier(6)

    def behave(body: dict[str, Any]) -> Answer:
        if body["messages"][0]["content"] != "first":
            barrier.wait(timeout=60)  # answers only once six are there
        return GOOD

    with asking(behave, tmp_path, concurrency=6) as asker:
        asker.ask("first", *(f"question {i}" for i in range(12)))
    assert asker.server.most_under_way == 6


def test_a_time_out_has_a_message_of_its_own(tmp_path: Path) -> None:
    with (
        asking(in_turn(Slow(60, GOOD)), tmp_path, timeout_s=0.5, max_retries=6) as asker,
        pytest.raises(StudyError) as raised,
    ):
        asker.ask("one", "two")
    assert str(raised.value) == (
        f"the language model's server {asker.server.base_url} gave no answer within 0.5 s "
        "(llm.timeout_s), asked 3 times, with 1 request under way at last (llm.concurrency allows "
        "4). A slow server needs a longer llm.timeout_s; one that answers one request after the "
        "other, llm.concurrency: 1. Answers that came are kept: run the study again to ask only "
        "the rest."
    )
    assert len(asker.server.bodies) == 3, "a model may still be loading; more would be in vain"


def test_places_grow_after_quick_answers_and_shrink_after_slow_ones() -> None:
    pace = Pace(most=8, timeout_s=100, at_a_time=8)
    pace.begin(seconds=20)
    assert pace.at_a_time == 2
    pace.heed(seconds=40)
    assert pace.at_a_time == 2
    pace.heed(seconds=60)
    assert pace.at_a_time == 1.5
    for _ in range(60):
        pace.heed(seconds=10)
    assert pace.at_a_time == 8
    pace.under_way = 8
    pace.timed_out()
    assert pace.at_a_time == 4
    pace.begin(seconds=1000)
    assert pace.at_a_time == 1
