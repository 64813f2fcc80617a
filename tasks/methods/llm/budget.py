"""What may still be sent: every request is paid for before it leaves, at its largest cost."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Final

from curette.schemas.artifact import StudyError
from curette.schemas.llm import Usage
from curette.schemas.responses import Delivery
from curette.schemas.settings.llm import LlmPrices, LlmSpec
from curette.tasks.methods.llm.shown import most_picture_tokens
from curette.tasks.methods.llm.tokens import count_tokens, most_tokens

KEPT = "Answers that came are kept: run the study again to ask only the rest."


LIMIT_NAMES: Final = ("max_tokens", "max_completion_tokens")
"""What servers call the limit of an answer's tokens; the newest models know the second alone."""


def token_limit(body: dict[str, Any]) -> int | None:
    """Return the limit of tokens that a request's body sets; None where it sets none."""
    return next((body[name] for name in LIMIT_NAMES if name in body), None)


def cost_usd(
    prompt_tokens: int, completion_tokens: int, prices: LlmPrices, delivery: Delivery = "live"
) -> float:
    """Return what tokens cost: their numbers times the prices, in batches times `batch_factor`."""
    prompt = prompt_tokens * prices.prompt_usd
    completion = completion_tokens * prices.completion_usd
    return (prompt + completion) / 1e6 * (prices.batch_factor if delivery == "batch" else 1.0)


def prompt_tokens(body: dict[str, Any]) -> int:
    """Return how many tokens the model reads: messages or texts, and the schema of the answer."""
    return count_tokens(_read_text(body), body["model"]) + most_picture_tokens(body)


def most_prompt_tokens(body: dict[str, Any]) -> int:
    """Return a number of tokens that the model reads at most."""
    return most_tokens(_read_text(body), body["model"]) + most_picture_tokens(body)


def _read_text(body: dict[str, Any]) -> str:
    read = {key: body[key] for key in ("messages", "input", "response_format") if key in body}
    return json.dumps(read, ensure_ascii=False)


class BudgetReached(StudyError):
    """A limit of the study lets no more be asked."""


@dataclass
class Budget:
    """The limits of one study, what is spent, and what requests under way may cost yet.

    A request reserves the most it can cost: the tokens of its question, and `max_tokens` of
    answer. When its answer is there it gives back what it did not need. A request that fits only
    after others gave back waits for them; one that fits in no case stops the run before it is
    sent. Of a request that broke off nobody says what it cost, so it counts in full.
    """

    llm: LlmSpec
    requests: int
    usd: float
    reserved_usd: float = 0.0
    under_way: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @classmethod
    def after(cls, spent: Usage, llm: LlmSpec) -> "Budget":
        """Return what is left of the study's limits."""
        usd = spent.cost_usd
        if usd is None and llm.prices is not None:
            usd = cost_usd(spent.prompt_tokens, spent.completion_tokens, llm.prices)
        return cls(llm, requests=spent.requests, usd=usd or 0.0)

    def worst_usd(self, body: dict[str, Any], delivery: Delivery = "live") -> float:
        """Return the most that a request can cost; 0 where the cost is not limited."""
        if self.llm.max_cost_usd is None or self.llm.prices is None:
            return 0.0
        answer = (token_limit(body) or 0) if "messages" in body else 0
        return cost_usd(most_prompt_tokens(body), answer, self.llm.prices, delivery)

    async def reserve(self, requests: int, worst_usd: float) -> None:
        """Set aside what requests may cost, as soon as it is certain that they fit.

        Raises:
            BudgetReached: they could pass a limit of the study.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._fits(worst_usd) or not self.under_way)
            self.reserve_at_once(requests, worst_usd)

    def reserve_at_once(self, requests: int, worst_usd: float) -> None:
        """Set aside what requests may cost, if they fit now.

        Raises:
            BudgetReached: they could pass a limit of the study.
        """
        limit = self.llm.max_requests
        if limit is not None and requests and self.requests + requests > limit:
            raise BudgetReached(self._no_more_requests(requests, limit))
        if not self._fits(worst_usd):
            raise BudgetReached(self._no_more_money(worst_usd))
        self.owe(requests, worst_usd)

    def owe(self, requests: int, worst_usd: float) -> None:
        """Count requests that are under way already, whether they fit or not."""
        self.requests += requests
        self.reserved_usd += worst_usd
        self.under_way += 1

    async def settle(self, worst_usd: float, usd: float) -> None:
        """Give back what was reserved, and count what was spent of it."""
        async with self._changed:
            self.under_way -= 1
            self.reserved_usd = self.reserved_usd - worst_usd if self.under_way else 0.0
            self.usd += usd
            self._changed.notify_all()

    def _fits(self, worst_usd: float) -> bool:
        limit = self.llm.max_cost_usd
        # Sums of prices carry rounding errors far below a millionth of a dollar.
        return limit is None or self.usd + self.reserved_usd + worst_usd <= limit + 1e-9

    def _no_more_requests(self, requests: int, limit: int) -> str:
        return (
            f"the study may send {limit} requests (llm.max_requests): {self.requests} are sent, "
            f"and {requests} more would pass the limit. {KEPT} Raise max_requests before, or ask "
            "for less."
        )

    def _no_more_money(self, worst_usd: float) -> str:
        return (
            f"the study may spend {self.llm.max_cost_usd:g} US$ (llm.max_cost_usd): "
            f"{self.usd:.4f} are spent, and what comes next could cost up to {worst_usd:.4f}. "
            f"{KEPT} Raise max_cost_usd before, lower max_tokens, or ask for less."
        )
