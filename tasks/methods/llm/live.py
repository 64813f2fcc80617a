"""Questions asked one by one, several at a time."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from curette.schemas.artifact import StudyError
from curette.schemas.responses import LlmRequest, LlmResponse
from curette.tasks.methods.llm.client import Call, Client, Refused
from curette.tasks.methods.llm.completion import (
    ABOUT_THE_FORMAT,
    LADDER,
    Completion,
    is_last,
    paid,
    repair,
    response_of,
)
from curette.tasks.methods.llm.manners import Manners
from curette.tasks.methods.llm.reading import AnswerForm, Unusable, read_answer
from curette.tasks.methods.llm.shown import with_pixels

_ABOUT_THE_QUESTION = frozenset({400, 413, 422})
"""What a server that has answered others says of one question: too long, or filtered."""
_NOT_THE_FORMAT = re.compile(r"\b(?:temperature|reasoning_effort)\b")

Asked = tuple[LlmRequest, AnswerForm[Any]]
Keep = Callable[[LlmRequest, LlmResponse], Awaitable[None]]
"""Told each answer as it comes."""


async def ask_live(asked: Sequence[Asked], client: Client, keep: Keep) -> None:
    """Ask everything, `llm.concurrency` requests at a time.

    After an error what is under way may end and is kept; nothing new begins.

    Raises:
        StudyError: the first error of the server, or the budget is spent.
    """
    server = _Server(client, client.manners)
    free = asyncio.Semaphore(client.llm.concurrency)

    async def ask_one(request: LlmRequest, form: AnswerForm[Any]) -> None:
        async with free:
            if client.error:
                return
            try:
                await keep(request, await server.answer(request, form))
            except StudyError as error:
                client.stop(error)

    await ask_one(*asked[0])  # alone: it finds the response format that the server takes
    await asyncio.gather(*(ask_one(*question) for question in asked[1:]))
    if client.error:
        raise client.error


@dataclass
class _Server:
    """One server in one run, and what it has shown of its ways."""

    client: Client
    manners: Manners

    async def answer(self, request: LlmRequest, form: AnswerForm[Any]) -> LlmResponse:
        """Ask until an answer is usable or asking again is no use; return the last.

        Raises:
            StudyError: the server fails, or uses up the limit of tokens before the first answer.
        """
        response: LlmResponse | None = None
        body = self.manners.first_body(request.body)
        starved = False
        while True:
            try:
                response = await self._ask_once(body, response)
            except Refused as error:
                if not self.manners.proven or error.status not in _ABOUT_THE_QUESTION:
                    raise
                return self._refused(request, error, response)
            try:
                read_answer(response, form)
            except Unusable as problem:
                if is_last(response, request.body):
                    self._check_thoughts(response)
                    return response
                starved = response.finish_reason == "length" and not response.text.strip()
                body = repair(request.body, response, str(problem), form)
            else:
                self.manners.answered = True
                self.manners.thinks |= starved
                return response

    def _check_thoughts(self, response: LlmResponse) -> None:
        """End the run where all that came of the first question are thoughts without an end.

        Every other question would be paid for in the same way.

        Raises:
            StudyError: names the limit.
        """
        if self.manners.answered or response.finish_reason != "length" or response.text.strip():
            return
        thoughts = response.thought_tokens
        told = f", and says that {thoughts:,} tokens were thoughts" if thoughts else ""
        llm = self.client.llm
        room = f" and llm.thinking_tokens {llm.thinking_tokens:,}" if llm.thinking_tokens else ""
        raise StudyError(
            f"{llm.model} at {llm.server} has used up its limit of tokens before it answered: "
            f"llm.max_tokens is {llm.max_tokens:,}{room}, and with {response.token_limit:,} "
            f"nothing came either{told}. Give it more room for thoughts (llm.thinking_tokens, or "
            "llm.max_tokens), have it think less (llm.reasoning_effort), or take another model."
        )

    def _refused(
        self, request: LlmRequest, error: Refused, earlier: LlmResponse | None
    ) -> LlmResponse:
        """Return what stands for the answer to a question that the server will not take."""
        return LlmResponse(
            text="",
            model=request.body["model"],
            format="text",
            error=f"the server does not take this question: {error}",
            attempts=1 + (earlier.attempts if earlier else 0),
            requests=error.requests + (earlier.requests if earlier else 0),
            prompt_tokens=earlier.prompt_tokens if earlier else 0,
            completion_tokens=earlier.completion_tokens if earlier else 0,
        )

    async def _ask_once(self, body: dict[str, Any], earlier: LlmResponse | None) -> LlmResponse:
        """Return one answer, in the first response format that the server takes."""
        refused = 0
        while True:
            rung = self.manners.rung
            sent = self.manners.body(body)
            # Only before anything worked: later the same status speaks of one request, not of
            # the server's abilities.
            may_step_down = not self.manners.proven and rung + 1 < len(LADDER)
            about_format = ABOUT_THE_FORMAT if may_step_down else frozenset()
            try:
                reply = await self.client.send(self._call(sent, about_format))
            except Refused as error:
                refused += error.requests
                named = error.status in _ABOUT_THE_QUESTION
                if named and self.manners.swap_limit(sent, error.said):
                    continue
                if named and self.manners.leave_out_effort(sent, error.said):
                    continue
                if error.status not in about_format or _NOT_THE_FORMAT.search(error.said):
                    raise
                self.manners.rung = rung + 1
            else:
                requests = refused + reply.requests
                return response_of(reply.answer, sent, LADDER[rung], "live", earlier, requests)

    def _call(self, sent: dict[str, Any], doubtful: frozenset[int]) -> Call[Completion]:
        llm = self.client.llm
        return Call(
            post=lambda openai: openai.chat.completions.with_raw_response.create(
                **with_pixels(sent, self.client.pictures),
                stream=False,  # some servers stream unless they are told not to
            ),
            read=Completion.read_from,
            expected="chat completions",
            worst_usd=self.client.budget.worst_usd(sent),
            cost_usd=lambda completion: paid(completion, sent, llm.prices, "live"),
            doubtful=doubtful,
        )
