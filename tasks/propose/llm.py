"""Ask a language model through any server that speaks OpenAI's chat completions.

Servers differ in what they make of `response_format`: some enforce a JSON schema, some ignore it,
some answer 400 or 500. So the schema is tried first, then JSON mode, then plain text, and whatever
comes is read and validated here, the same way for all three.
"""

import asyncio
import ipaddress
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationError

from schemas.artifact import StudyError
from schemas.candidates import LlmSource
from schemas.responses import AnswerFormat, LlmRequest, LlmResponse

if TYPE_CHECKING:  # importing openai takes a second, which stored and recorded answers can spare
    from openai import APIStatusError, AsyncOpenAI

OPENAI_URL: Final = "https://api.openai.com/v1"
ATTEMPTS: Final = 3
"""How often a question is asked until its last answer is kept, usable or not."""
EXCERPT: Final = 2_000
"""Characters of an unusable answer that are quoted back to the model or kept."""

_PROMPTS: Final = Path(__file__).parent / "prompts"
_SCHEMA: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {
        "name": "concepts",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"concepts": {"type": "array", "items": {"type": "string"}}},
            "required": ["concepts"],
            "additionalProperties": False,
        },
    },
}
_LADDER: Final[tuple[tuple[AnswerFormat, dict[str, Any] | None], ...]] = (
    ("json_schema", _SCHEMA),
    ("json_object", {"type": "json_object"}),
    ("text", None),
)
# What a server may answer that cannot handle a response format: any 4xx but those about keys,
# money and load, and 500 or 501 but not what proxies say of a server that is down.
_NOT_ABOUT_THE_FORMAT: Final = {401, 402, 403, 407, 408, 409, 429}


class Unusable(Exception):
    """An answer holds no concepts; the text says why."""


@runtime_checkable
class Answers(Protocol):
    """Where answers are kept."""

    def get(self, request: LlmRequest) -> LlmResponse | None:
        """Return the answer to an earlier request, if there is one."""

    def put(self, request: LlmRequest, response: LlmResponse) -> None:
        """Keep an answer."""


def write_request(source: LlmSource, prompt: str, sample: int) -> LlmRequest:
    """Return the request that asks `prompt` for the `sample`-th time.

    There is one user message because some models' chat templates refuse a system message.
    """
    base_url = source.base_url or OPENAI_URL
    body: dict[str, Any] = {
        "model": source.model,
        "messages": [{"role": "user", "content": prompt}],
        "response_format": _SCHEMA,
    }
    if source.temperature is not None:
        body["temperature"] = source.temperature
    if source.max_tokens is not None:
        # OpenAI's newer models refuse the name that all other servers know.
        limit = "max_completion_tokens" if base_url == OPENAI_URL else "max_tokens"
        body[limit] = source.max_tokens
    return LlmRequest(base_url=base_url, body=body, sample=sample, draw=source.draw)


def ask(
    requests: Sequence[LlmRequest],
    source: LlmSource,
    answers: Answers,
    advance: Callable[[int], None],
) -> list[LlmResponse]:
    """Return the answer to each request; ask only those that have none yet.

    Answers are kept as they come, so what a failed run has paid for is not asked again. An answer
    that is no use after `ATTEMPTS` is kept and returned like any other: `read_concepts` says what
    is wrong with it. Runs an event loop of its own, so it must not be called from a running one.

    Args:
        requests: what to ask, from `write_request`.
        source: the server's key, patience and concurrency.
        answers: where answers are looked up and kept.
        advance: told how many answers have come; called in a thread of its own.

    Raises:
        StudyError: there is no key, or the server refuses, fails or is not there.
    """
    missing = [r for r in requests if answers.get(r) is None]
    advance(len(requests) - len(missing))
    if missing:
        asyncio.run(_ask_all(missing, source, answers, advance))
    found = [answers.get(r) for r in requests]
    return [response for response in found if response is not None]


def read_concepts(response: LlmResponse) -> tuple[str, ...]:
    """Return the concepts of an answer: at least one, as the model wrote them.

    JSON is read wherever it stands in the text (alone, fenced, after an introduction or a
    `<think>` block), with trailing commas and raw control characters forgiven; where there is no
    JSON, a bulleted or numbered list is.

    Raises:
        Unusable: the model refused, was cut off, said nothing, or kept to no such form.
    """
    if response.refusal or response.finish_reason == "content_filter":
        raise Unusable("the model refused to answer")
    if response.finish_reason == "length":
        raise Unusable("the answer was cut off at its limit of tokens")
    text = re.sub(r"<think>.*?</think>", " ", response.text, flags=re.DOTALL).strip()
    if not text:
        raise Unusable("the answer is empty")
    for excerpt in (_between(text, "{", "}"), _between(text, "[", "]")):
        plain = one_line(excerpt)  # JSON strings may hold no raw control characters
        for form in (plain, re.sub(r",\s*([\]}])", r"\1", plain)):
            try:
                answer = _ANSWER.validate_json(form)
            except ValidationError:
                continue
            concepts = answer.concepts if isinstance(answer, _Concepts) else answer
            if not concepts:
                raise Unusable("the answer holds no statement")
            return concepts
    listed = tuple(re.findall(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+(\S.*)$", text, flags=re.MULTILINE))
    if len(listed) < 2:
        raise Unusable("the answer is not in the form asked for")
    return listed


def one_line(text: str) -> str:
    """Return a text without line breaks, runs of blanks, and characters that nobody sees."""
    shown = (
        " " if unicodedata.category(c) == "Cc" else c
        for c in text
        if unicodedata.category(c) not in ("Cf", "Cn", "Co", "Cs")
    )
    return " ".join("".join(shown).split())


def excerpt_of(response: LlmResponse) -> str:
    """Return what came as an answer, cut to `EXCERPT` characters."""
    return (response.refusal or response.text)[:EXCERPT]


class _Concepts(BaseModel):
    concepts: tuple[str, ...]


_ANSWER: Final = TypeAdapter[_Concepts | tuple[str, ...]](_Concepts | tuple[str, ...])


def _between(text: str, start: str, end: str) -> str:
    return text[text.find(start) : text.rfind(end) + 1] if start in text else ""


# --- the server -----------------------------------------------------------------------------


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(BaseModel):
    """The parts of a chat completion that we use; anything else a server sends is ignored."""

    model: str = ""
    choices: tuple[_Choice, ...] = Field(min_length=1)
    usage: _Usage | None = None


async def _ask_all(
    requests: Sequence[LlmRequest],
    source: LlmSource,
    answers: Answers,
    advance: Callable[[int], None],
) -> None:
    from openai import AsyncOpenAI

    key = _key(source)
    free = asyncio.Semaphore(source.concurrency)
    errors: list[StudyError] = []
    async with AsyncOpenAI(
        api_key=key.get_secret_value(),
        base_url=source.base_url or OPENAI_URL,
        timeout=source.timeout_s,
        max_retries=source.max_retries,
    ) as client:
        server = _Server(client, source, key)

        async def ask_one(request: LlmRequest) -> None:
            async with free:
                if errors:  # what is under way may end, nothing new begins
                    return
                try:
                    answers.put(request, await server.answer(request))
                except StudyError as error:
                    errors.append(error)
                else:
                    await asyncio.to_thread(advance, 1)

        await ask_one(requests[0])  # alone: it finds the response format that the server takes
        await asyncio.gather(*(ask_one(request) for request in requests[1:]))
    if errors:
        raise errors[0]


@dataclass
class _Server:
    """One server in one run, and how far down the ladder of formats it has made us go."""

    client: "AsyncOpenAI"
    source: LlmSource
    key: SecretStr
    rung: int = 0
    proven: bool = False

    async def answer(self, request: LlmRequest) -> LlmResponse:
        """Ask until an answer is usable, `ATTEMPTS` times at most; return the last."""
        messages = request.body["messages"]
        tokens = _Usage()
        for attempt in range(1, ATTEMPTS + 1):
            completion = await self._complete({**request.body, "messages": messages})
            choice, usage = completion.choices[0], completion.usage or _Usage()
            tokens.prompt_tokens += usage.prompt_tokens
            tokens.completion_tokens += usage.completion_tokens
            response = LlmResponse(
                text=choice.message.content or "",
                finish_reason=choice.finish_reason or "",
                refusal=choice.message.refusal or "",
                model=completion.model,
                format=_LADDER[self.rung][0],
                attempts=attempt,
                prompt_tokens=tokens.prompt_tokens,
                completion_tokens=tokens.completion_tokens,
            )
            try:
                read_concepts(response)
            except Unusable as problem:
                messages = [*request.body["messages"], *_repair(response, str(problem))]
            else:
                break
        return response

    async def _complete(self, body: dict[str, Any]) -> _Completion:
        """Return one chat completion, in the first response format that the server takes."""
        from openai import APIConnectionError, APIStatusError

        while True:
            form = _LADDER[self.rung][1]
            sent = {k: v for k, v in body.items() if k != "response_format"}
            if form is not None:
                sent["response_format"] = form
            try:
                raw = await self.client.chat.completions.with_raw_response.create(**sent)
            except APIStatusError as error:
                if not self._can_step_down(error.status_code):
                    raise StudyError(self._refusal(error)) from None
                self.rung += 1
                continue
            except APIConnectionError as error:
                raise StudyError(
                    f"{self._name} does not answer ({self._shown(str(error))}). Is it running, "
                    f"and is base_url right? {_RESUME}"
                ) from None
            self.proven = True
            text = self._without_key(raw.text)
            try:
                return _Completion.model_validate_json(text)
            except ValidationError:
                raise StudyError(
                    f"{self._name} answers, but not with chat completions: {self._shown(text)}. "
                    f"Is base_url right? It mostly ends in /v1. {_RESUME}"
                ) from None

    def _can_step_down(self, status: int) -> bool:
        # Only before anything worked: later the same status speaks of one request, not of the
        # server's abilities. A 500 has been retried by then like any other.
        about_format = (400 <= status < 500 or status in (500, 501)) and (
            status not in _NOT_ABOUT_THE_FORMAT
        )
        return about_format and not self.proven and self.rung + 1 < len(_LADDER)

    @property
    def _name(self) -> str:
        return f"the language model's server {self.source.base_url or OPENAI_URL}"

    def _refusal(self, error: "APIStatusError") -> str:
        if error.status_code in (401, 403):
            # The server's own words are left out: some repeat the key.
            return (
                f"{self._name} refuses the key (HTTP {error.status_code}). Check the environment "
                f"variable {self.source.api_key_variable}, and that its key may use the model "
                f"{self.source.model}."
            )
        return (
            f"{self._name} refuses or fails (HTTP {error.status_code}) after "
            f"{self.source.max_retries} retries at most: {self._shown(error.message)}. {_RESUME}"
        )

    def _shown(self, text: str) -> str:
        """Return what a server said as one short line."""
        return one_line(self._without_key(text))[:300]

    def _without_key(self, text: str) -> str:
        # Shorter ones are placeholders of local servers and may be ordinary words.
        secret = self.key.get_secret_value()
        return text.replace(secret, "[key]") if len(secret) >= 8 else text


_RESUME: Final = "Answers that came are kept: run the study again to ask only the rest."


def _repair(response: LlmResponse, problem: str) -> list[dict[str, str]]:
    """Return the messages that ask again, showing the model what was wrong."""
    wrong = excerpt_of(response)
    if not wrong.strip():  # chat templates refuse an empty message or two users in a row
        return []
    template = Template((_PROMPTS / "repair.md").read_text(encoding="utf-8"))
    return [
        {"role": "assistant", "content": wrong},
        {"role": "user", "content": template.substitute(problem=problem)},
    ]


def _key(source: LlmSource) -> SecretStr:
    """Return the server's key; servers on this machine need none.

    Raises:
        StudyError: the environment variable is empty or holds no key.
    """
    key = os.environ.get(source.api_key_variable, "").strip()
    if not key and _is_loopback(source.base_url):
        return SecretStr("unused")
    if not key:
        raise StudyError(
            f"no key for {source.base_url or OPENAI_URL}: set the environment variable "
            f"{source.api_key_variable} (to any text where the server wants no key), or name "
            "another variable in propose.source.api_key_variable."
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise StudyError(
            f"the environment variable {source.api_key_variable} holds blanks or characters that "
            "no key has: copy the key again."
        )
    return SecretStr(key)


def _is_loopback(base_url: str | None) -> bool:
    host = urlsplit(base_url or OPENAI_URL).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
