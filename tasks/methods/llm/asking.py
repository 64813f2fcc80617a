"""Ask a language model through any server that speaks OpenAI's chat completions.

What stages import. A stage writes questions, each with the form its answer must have, and gets an
answer of that form or the reason why there is none. Nothing that was answered is asked twice.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from curette.schemas.llm import Usage
from curette.schemas.responses import LlmRequest, LlmResponse
from curette.schemas.settings.llm import OPENAI_URL, LlmSpec
from curette.tasks.methods.llm.batch import Batches, ask_in_batches
from curette.tasks.methods.llm.budget import Budget, cost_usd
from curette.tasks.methods.llm.client import Secrecy, connect
from curette.tasks.methods.llm.live import ask_live
from curette.tasks.methods.llm.manners import manners_of
from curette.tasks.methods.llm.patience import PATIENCE, Patience
from curette.tasks.methods.llm.reading import AnswerForm, Unusable, read_answer, response_format
from curette.tasks.methods.llm.shown import Pictures, content_of

__all__ = [
    "AnswerForm",
    "Answered",
    "Answers",
    "Question",
    "ask",
    "request_of",
    "usage_of",
]

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class Question(Generic[A]):
    """One question, and the form of its answer."""

    prompt: str
    """The whole user message."""
    form: AnswerForm[A]
    sample: int = 0
    """The same question may be asked several times."""
    picture: str = ""
    """The `picture_name` of what is shown with it; empty where nothing is."""


@dataclass(frozen=True)
class Answered(Generic[A]):
    """What came of one question."""

    request_sha256: str
    response: LlmResponse
    answer: A | None
    """None where the last answer was unusable after all attempts."""
    problem: str = ""
    """Why there is no answer; empty where there is one."""


@runtime_checkable
class Answers(Batches, Protocol):
    """Where answers are kept, and what is known of batches that are under way."""

    def get(self, request: LlmRequest) -> LlmResponse | None:
        """Return the answer to an earlier request, if there is one."""

    def put(self, request: LlmRequest, response: LlmResponse) -> None:
        """Keep an answer."""


def request_of(question: Question[Any], llm: LlmSpec) -> LlmRequest:
    """Return the request that asks a question: the address of its answer.

    There is one user message because some models' chat templates refuse a system message.
    """
    body: dict[str, Any] = {
        "model": llm.model,
        "messages": [{"role": "user", "content": content_of(question.prompt, question.picture)}],
        "response_format": response_format(question.form),
    }
    if llm.temperature is not None:
        body["temperature"] = llm.temperature
    if llm.reasoning_effort is not None:
        body["reasoning_effort"] = llm.reasoning_effort
    if llm.token_limit is not None:
        # OpenAI's newer models refuse the name that all other servers know.
        limit = "max_completion_tokens" if llm.server == OPENAI_URL else "max_tokens"
        body[limit] = llm.token_limit
    return LlmRequest(base_url=llm.server, body=body, sample=question.sample, draw=llm.draw)


def ask(
    questions: Sequence[Question[A]],
    llm: LlmSpec,
    answers: Answers,
    spent: Usage,
    advance: Callable[[int], None],
    patience: Patience = PATIENCE,
    secrecy: Secrecy = "ordinary",
    pictures: Pictures | None = None,
) -> list[Answered[A]]:
    """Return what came of each question; ask only those that have no answer yet.

    Answers are kept as they come, so what a failed run has paid for is not asked again. An answer
    that is no use after `ATTEMPTS` is kept and returned like any other, with the reason. Runs an
    event loop of its own, so it must not be called from a running one.

    Args:
        questions: what to ask; equal ones are asked once.
        llm: the server, its key, patience, concurrency and limits.
        answers: where answers are looked up and kept.
        spent: what the study has used before these questions; what those of them that are
            answered already have cost is added here.
        advance: told how many questions have come to an end; called in a thread of its own.
        patience: how long is waited for servers.
        secrecy: of what is asked; see `methods.llm.client.Secrecy`.
        pictures: where questions show any; such questions are asked live alone.

    Raises:
        StudyError: there is no key; the server refuses, fails or is not there; or the next
            request could pass `llm.max_requests` or `llm.max_cost_usd`.
    """
    requests = [request_of(question, llm) for question in questions]
    places = Counter(request.sha256 for request in requests)
    found: dict[str, LlmResponse] = {}
    missing = {}
    for request, question in zip(requests, questions, strict=True):
        sha256 = request.sha256
        if sha256 in found or sha256 in missing:
            continue
        if (response := answers.get(request)) is None:
            missing[sha256] = (request, question.form)
        else:
            found[sha256] = response
    advance(sum(places[sha256] for sha256 in found))

    async def keep(request: LlmRequest, response: LlmResponse) -> None:
        sha256 = request.sha256
        if not response.error:
            answers.put(request, response)
        found[sha256] = response
        await asyncio.to_thread(advance, places[sha256])

    async def ask_missing() -> None:
        budget = Budget.after(spent + _usage(found, llm), llm)
        manners = manners_of(answers, llm.server, llm.model)
        async with connect(llm, budget, patience, manners, secrecy, pictures) as client:
            if llm.delivery == "batch":
                await ask_in_batches(missing, places.keys(), client, answers, keep)
            else:
                await ask_live(list(missing.values()), client, keep)

    if missing:
        asyncio.run(ask_missing())
    return [
        _read(request, found[request.sha256], question.form)
        for request, question in zip(requests, questions, strict=True)
    ]


def usage_of(answered: Sequence[Answered[Any]], llm: LlmSpec) -> Usage:
    """Return what answers have cost, each once, in this run or an earlier one."""
    return _usage({a.request_sha256: a.response for a in answered}, llm)


def _usage(responses: dict[str, LlmResponse], llm: LlmSpec) -> Usage:
    each = responses.values()
    costs = [
        cost_usd(r.prompt_tokens, r.completion_tokens, llm.prices, r.delivery)
        for r in each
        if llm.prices is not None
    ]
    return Usage(
        requests=sum(r.requests for r in each),
        answers=sum(not r.error for r in each),
        prompt_tokens=sum(r.prompt_tokens for r in each),
        completion_tokens=sum(r.completion_tokens for r in each),
        cost_usd=sum(costs) if llm.prices is not None else None,
    )


def _read(request: LlmRequest, response: LlmResponse, form: AnswerForm[A]) -> Answered[A]:
    try:
        return Answered(request.sha256, response, read_answer(response, form))
    except Unusable as problem:
        return Answered(request.sha256, response, None, str(problem))
