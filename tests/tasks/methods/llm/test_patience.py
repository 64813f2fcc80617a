import email.utils
import time
from pathlib import Path

import pytest

from curette.schemas.artifact import StudyError
from curette.tasks.methods.llm.patience import Patience, asked_wait_s, exhausted_s, in_words
from tests.servers import Answer, Headers, Status, in_turn
from tests.tasks.methods.llm.askers import CONCEPTS, GOOD, asking


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "300"}, 300),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_read_in_every_way_it_may_be_written(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert asked_wait_s(headers) == wait_s


def test_a_wait_until_a_date_is_the_time_until_then() -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert asked_wait_s({"retry-after": date}) == pytest.approx(100, abs=2)


@pytest.mark.parametrize(
    ("reset", "wait_s"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("12ms", 0.012),
        ("2m59.56s", 179.56),
        ("1d", 86_400),
        ("30", 30),
        ("0.5", 0.5),
        ("whenever", 0),
        ("", 0),
    ],
)
def test_a_used_up_limit_is_waited_for(reset: str, wait_s: float) -> None:
    for kind in ("requests", "tokens"):
        reset_at = {f"x-ratelimit-reset-{kind}": reset}
        used_up = reset_at | {f"x-ratelimit-remaining-{kind}": "0"}
        assert exhausted_s(used_up) == pytest.approx(wait_s)
        assert exhausted_s(reset_at | {f"x-ratelimit-remaining-{kind}": "1"}) == 0
        assert exhausted_s(reset_at) == 0


def test_the_longer_of_two_resets_is_waited_for() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "9s",
    }
    assert exhausted_s(headers) == 9


def test_waits_double_vary_by_chance_and_have_an_end() -> None:
    patience = Patience(first_retry_s=1, longest_retry_s=10)
    for tries, longest in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (5000, 10)]:
        waits = {patience.retry_s(tries) for _ in range(50)}
        assert len(waits) > 1
        assert longest / 2 <= min(waits) <= max(waits) <= longest


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 seconds"), (150, "2 minutes"), (36_000, "10 hours")]
)
def test_durations_have_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


# --- what the client makes of it ------------------------------------------------------------

USED_UP: Headers = (
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-reset-requests", "300ms"),
)


@pytest.mark.parametrize(
    "first",
    [
        Answer(str(GOOD.content), headers=USED_UP),
        Status(429, headers=USED_UP),
        Status(429, headers=(("retry-after", "0.3"),)),
        Status(503, headers=(("retry-after-ms", "300"),)),
    ],
)
def test_all_requests_wait_until_the_server_wants_to_hear_from_us(
    tmp_path: Path, first: Answer | Status
) -> None:
    came: list[float] = []
    reply = in_turn(first, GOOD)

    def behave(body: dict[str, object]) -> Answer | Status:
        came.append(time.monotonic())
        return reply(body)  # type: ignore[return-value]

    with asking(behave, tmp_path) as asker:
        answered = asker.ask("one", "two", "three", "four")
    assert [a.answer for a in answered] == [CONCEPTS] * 4
    assert min(came[1:]) - came[0] >= 0.3


@pytest.mark.parametrize(
    "headers",
    [
        (("retry-after", "7200"),),
        (("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "2h")),
        (("retry-after", "1e300"),),
    ],
)
def test_too_long_a_wait_ends_the_run_and_says_when_to_come_back(
    tmp_path: Path, headers: Headers
) -> None:
    with asking(in_turn(GOOD, Status(429, headers=headers)), tmp_path, concurrency=1) as asker:
        with pytest.raises(StudyError) as raised:
            asker.ask("one", "two", "three")
        assert len(asker.server.bodies) == 2
        asker.server.behave = in_turn(GOOD)
        assert [a.answer for a in asker.ask("one", "two", "three")] == [CONCEPTS] * 3
    assert " asks to wait for " in str(raised.value)
    assert " UTC; no run waits for more than 60 minutes" in str(raised.value)
    assert "Answers that came are kept" in str(raised.value)


def test_a_used_up_limit_does_not_matter_after_the_last_answer(tmp_path: Path) -> None:
    headers = (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "24h"))
    with asking(in_turn(Answer(str(GOOD.content), headers=headers)), tmp_path) as asker:
        assert asker.ask("one")[0].answer == CONCEPTS
