"""Questions asked one by one, several at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from curette.schemas.artifact import StudyError
from curette.schemas.responses import LlmRequest, LlmResponse
from curette.tasks.methods.llm.client import Call, Client, Refused
from curette.tasks.methods.llm.completion import (
    ABOUT_THE_FORMAT,
    ATTEMPTS,
    LADDER,
    Completion,
    in_format,
    paid,
    repair,
    response_of,
)
from curette.tasks.methods.llm.reading import AnswerForm, Unusable, read_answer

_ABOUT_THE_QUESTION = frozenset({400, 413, 422})
"""What a server that has answered others says of one question: too long, or filtered."""

Asked = tuple[LlmRequest, AnswerForm[Any]]
Keep = Callable[[LlmRequest, LlmResponse], Awaitable[None]]
"""Told each answer as it comes."""


async def ask_live(asked: Sequence[Asked], client: Client, keep: Keep) -> None:
    """Ask everything, `llm.concurrency` requests at a time.

    After an error what is under way may end and is kept; nothing new begins.

    Raises:
        StudyError: the first error of the server, or the budget is spent.
    """
    server = _Server(client)
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
    """One server in one run, and how far down the ladder of formats it has made us go."""

    client: Client
    rung: int = 0

    async def answer(self, request: LlmRequest, form: AnswerForm[Any]) -> LlmResponse:
        """Ask until an answer is usable, `ATTEMPTS` times at most; return the last."""
        response: LlmResponse | None = None
        body = request.body
        while True:
            try:
                response = await self._ask_once(body, response)
            except Refused as error:
                if not self.client.proven or error.status not in _ABOUT_THE_QUESTION:
                    raise
                return self._refused(request, error, response)
            try:
                read_answer(response, form)
            except Unusable as problem:
                if response.attempts >= ATTEMPTS:
                    return response
                body = repair(request.body, response, str(problem), form)
            else:
                return response

    def _refused(
        self, request: LlmRequest, error: Refused, earlier: LlmResponse | None
    ) -> LlmResponse:
        """Return what stands for the answer to a question that the server will not take."""
        return LlmResponse(
            text="",
            model=request.body["model"],
            format=LADDER[self.rung],
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
            form = LADDER[self.rung]
            sent = in_format(body, form)
            # Only before anything worked: later the same status speaks of one request, not of
            # the server's abilities.
            may_step_down = not self.client.proven and self.rung + 1 < len(LADDER)
            about_format = ABOUT_THE_FORMAT if may_step_down else frozenset()
            try:
                reply = await self.client.send(self._call(sent, about_format))
            except Refused as error:
                if error.status not in about_format:
                    raise
                refused += error.requests
                self.rung += 1
            else:
                requests = refused + reply.requests
                return response_of(reply.answer, sent, form, "live", earlier, requests)

    def _call(self, sent: dict[str, Any], doubtful: frozenset[int]) -> Call[Completion]:
        llm = self.client.llm
        return Call(
            post=lambda openai: openai.chat.completions.with_raw_response.create(**sent),
            read=Completion.model_validate_json,
            expected="chat completions",
            worst_usd=self.client.budget.worst_usd(sent),
            cost_usd=lambda completion: paid(completion, sent, llm.prices, "live"),
            doubtful=doubtful,
        )
