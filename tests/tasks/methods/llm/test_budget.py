"""Limits hold before a request leaves; the server counts what came."""

import asyncio
import math
from pathlib import Path

import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.llm import Usage
from curette.schemas.settings.llm import LlmPrices, LlmSpec
from curette.tasks.methods.llm.asking import usage_of
from curette.tasks.methods.llm.budget import Budget, cost_usd
from curette.tasks.methods.llm.tokens import count_tokens, most_tokens
from tests.servers import Answer, Reset, Slow, Status, in_turn
from tests.tasks.methods.llm.askers import CONCEPTS, GOOD, Asker, asking

PRICES = LlmPrices(prompt_usd=0, completion_usd=1000)  # a thousandth of a dollar a token
WORST = {"prices": PRICES, "max_tokens": 100}  # 0.1 dollars a request; really 0.01
USELESS = Answer("no")


def test_costs_are_tokens_times_prices() -> None:
    prices = LlmPrices(prompt_usd=2.5, completion_usd=10, batch_factor=0.5)
    assert cost_usd(1_000_000, 100_000, prices) == pytest.approx(3.5)
    assert cost_usd(1_000_000, 100_000, prices, "batch") == pytest.approx(1.75)


def test_no_request_is_sent_above_the_limit_of_requests(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, max_requests=5) as asker:
        with pytest.raises(StudyError) as raised:
            asker.ask(*(f"question {i}" for i in range(20)))
        assert len(asker.server.bodies) == 5
        assert str(raised.value) == (
            "the study may send 5 requests (llm.max_requests): 5 are sent, and 1 more would pass "
            "the limit. Answers that came are kept: run the study again to ask only the rest. "
            "Raise max_requests before, or ask for less."
        )
        more = Asker(asker.server, tmp_path, max_requests=20)
        assert len(more.ask(*(f"question {i}" for i in range(20)))) == 20
        assert len(asker.server.bodies) == 20


def test_repairs_and_retries_are_requests(tmp_path: Path) -> None:
    with asking(in_turn(Status(503), USELESS, USELESS, GOOD), tmp_path, max_requests=3) as asker:
        with pytest.raises(StudyError, match="3 are sent"):
            asker.ask("one")
        assert len(asker.server.bodies) == 3


def test_what_the_study_spent_before_counts(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, max_requests=10) as asker:
        with pytest.raises(StudyError, match="10 are sent"):
            asker.ask("one", "two", "three", spent=Usage(requests=8))
        assert len(asker.server.bodies) == 2


def test_what_earlier_runs_asked_of_these_questions_counts(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        asker.ask("one", "two")
        limited = Asker(asker.server, tmp_path, max_requests=3)
        with pytest.raises(StudyError, match="3 are sent"):
            limited.ask("one", "two", "three", "four")
        assert len(asker.server.bodies) == 3
        assert len(limited.ask("one", "two", "three")) == 3


def test_no_request_is_sent_that_could_cost_too_much(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path, max_cost_usd=0.155, concurrency=1, **WORST) as asker:
        with pytest.raises(StudyError) as raised:
            asker.ask(*(f"question {i}" for i in range(20)))
        # Each may cost 0.1 and does cost 0.01: after six there are 0.095 left.
        assert len(asker.server.bodies) == 6
    assert str(raised.value) == (
        "the study may spend 0.155 US$ (llm.max_cost_usd): 0.0600 are spent, and what comes next "
        "could cost up to 0.1000. Answers that came are kept: run the study again to ask only "
        "the rest. Raise max_cost_usd before, lower max_tokens, or ask for less."
    )


def test_many_at_a_time_spend_no_more_than_one_after_the_other(tmp_path: Path) -> None:
    slow = in_turn(Slow(0.02, GOOD))
    with asking(slow, tmp_path, max_cost_usd=0.355, concurrency=16, **WORST) as asker:
        with pytest.raises(StudyError, match=r"0\.2600 are spent"):
            asker.ask(*(f"question {i}" for i in range(40)))
        assert len(asker.server.bodies) == 26
        # 0.355 / 0.1 fit beside each other; what they give back lets others in.
        assert 2 <= asker.server.most_under_way <= 3


def test_a_budget_that_suffices_stops_nothing_however_many_are_under_way(tmp_path: Path) -> None:
    """Reservations are given back: 20 times 0.1 would not fit, 20 times 0.01 does."""
    with asking(in_turn(GOOD), tmp_path, max_cost_usd=0.3, concurrency=16, **WORST) as asker:
        answered = asker.ask(*(f"question {i}" for i in range(20)))
        used = usage_of(answered, asker.llm)
    assert used.cost_usd == pytest.approx(0.2)
    assert (used.requests, used.answers) == (20, 20)
    assert (used.prompt_tokens, used.completion_tokens) == (2000, 200)


def test_the_question_counts_with_its_own_tokens(tmp_path: Path) -> None:
    prices = LlmPrices(prompt_usd=1000, completion_usd=0)
    with asking(in_turn(GOOD), tmp_path, prices=prices, max_tokens=1, max_cost_usd=1.0) as asker:
        assert asker.ask("short")[0].answer == CONCEPTS
        with pytest.raises(StudyError, match="could cost up to"):
            asker.ask("x" * 4_000)
    assert len(asker.server.bodies) == 1


def test_a_request_that_broke_off_counts_in_full(tmp_path: Path) -> None:
    with asking(
        in_turn(Reset(), GOOD), tmp_path, max_cost_usd=0.155, max_retries=3, **WORST
    ) as asker:
        with pytest.raises(StudyError, match=r"0\.1000 are spent"):
            asker.ask("one")
        assert len(asker.server.bodies) == 1


def test_a_refused_request_costs_nothing(tmp_path: Path) -> None:
    with asking(
        in_turn(Status(429), Status(503), GOOD), tmp_path, max_cost_usd=0.1, max_retries=3, **WORST
    ) as asker:
        assert asker.ask("one")[0].answer == CONCEPTS


def test_tokens_are_counted_where_the_server_does_not_say(tmp_path: Path) -> None:
    silent = Answer(str(GOOD.content), tokens=None)
    with asking(in_turn(silent), tmp_path) as asker:
        [answered] = asker.ask("one")
    assert answered.response.completion_tokens == math.ceil(len(str(GOOD.content)) / 4)
    assert answered.response.prompt_tokens > 10


def test_usage_counts_an_answer_once_and_knows_no_cost_without_prices(tmp_path: Path) -> None:
    with asking(in_turn(USELESS, GOOD), tmp_path) as asker:
        answered = asker.ask("one", "two", "one")
        used = usage_of(answered, asker.llm)
        assert usage_of(asker.ask("one", "two"), asker.llm) == used
    assert used == Usage(requests=3, answers=2, prompt_tokens=300, completion_tokens=30)


def test_a_budget_starts_from_tokens_where_the_cost_is_not_known() -> None:
    llm = LlmSpec(model="m", prices=PRICES)
    spent = Usage(requests=3, answers=1, prompt_tokens=5, completion_tokens=20)
    assert Budget.after(spent, llm).usd == pytest.approx(0.02)
    assert Budget.after(spent.model_copy(update={"cost_usd": 0.7}), llm).usd == 0.7


def test_reservations_of_uneven_size_never_pass_the_limit_and_all_end() -> None:
    """Brute force over the bookkeeping alone: 200 requests, each with another cost."""
    llm = LlmSpec(model="m", prices=PRICES, max_cost_usd=1.0)
    highest = 0.0

    async def spend(budget: Budget, place: int) -> None:
        nonlocal highest
        worst = 0.05 + (place * 37 % 100) / 500
        await budget.reserve(1, worst)
        highest = max(highest, budget.usd + budget.reserved_usd)
        await asyncio.sleep(0)
        await budget.settle(worst, worst / 50)

    async def run() -> Budget:
        budget = Budget.after(Usage(), llm)
        await asyncio.gather(*(spend(budget, place) for place in range(200)))
        return budget

    budget = asyncio.run(run())
    assert highest <= 1.0 + 1e-9
    assert budget.requests == 200
    assert budget.reserved_usd == 0.0
    assert budget.usd == pytest.approx(
        sum(0.05 + (place * 37 % 100) / 500 for place in range(200)) / 50
    )


def test_what_nobody_gives_back_is_not_waited_for() -> None:
    """As with batches of an earlier run: they are counted before anyone looks after them."""
    prices = LlmPrices(prompt_usd=1, completion_usd=1)
    llm = LlmSpec(model="m", prices=prices, max_cost_usd=1.0)

    async def reserve_twice() -> None:
        budget = Budget.after(Usage(), llm)
        budget.owe(1, 0.6)
        with pytest.raises(StudyError, match="max_cost_usd"):
            budget.reserve_at_once(1, 0.6)
        budget.reserve_at_once(1, 0.3)

    asyncio.run(asyncio.wait_for(reserve_twice(), timeout=60))


def test_the_largest_cost_holds_for_any_script() -> None:
    """Without a model's table a token stands for a byte at least."""
    text = "皮膚の病変" * 100
    assert most_tokens(text, "some-model") == len(text.encode()) > count_tokens(text, "some-model")
