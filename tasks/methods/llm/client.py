"""One server in one event loop: polite, patient, within a budget, and silent about its key."""

import asyncio
import ipaddress
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.settings.llm import LlmSpec
from curette.tasks.methods.llm.budget import KEPT, Budget
from curette.tasks.methods.llm.patience import Patience, asked_wait_s, exhausted_s, in_words
from curette.tasks.methods.llm.quoting import one_line

if TYPE_CHECKING:  # importing openai takes a second, which stored and recorded answers can spare
    from openai import APIStatusError, AsyncOpenAI

T = TypeVar("T")
Secrecy = Literal["ordinary", "confidential"]
"""Of what is confidential nothing may go elsewhere: no redirect is followed, no proxy of the
environment is used, and errors do not show what a server says, since that may repeat what it was
asked."""


class Refused(StudyError):
    """The server answered with an error status that is not, or no longer, worth a retry."""

    def __init__(self, message: str, status: int, requests: int):
        super().__init__(message)
        self.status = status
        self.requests = requests


@dataclass(frozen=True)
class Call(Generic[T]):
    """One HTTP request, how its answer is read, and what counts against the budget."""

    post: Callable[[Any], Awaitable[Any]]
    """From openai's client to its raw response."""
    read: Callable[[str], T]
    """Raises ValidationError where the answer is not what was asked for."""
    expected: str
    """What the answer should be, for messages: `chat completions`."""
    requests: int = 1
    worst_usd: float = 0.0
    cost_usd: Callable[[T], float] = lambda _: 0.0
    doubtful: frozenset[int] = frozenset()
    """Statuses that may speak of the request rather than of trouble: retried once only."""


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An answer, and how many requests it took."""

    answer: T
    requests: int


@asynccontextmanager
async def connect(
    llm: LlmSpec, budget: Budget, patience: Patience, secrecy: Secrecy = "ordinary"
) -> AsyncIterator["Client"]:
    """Open a client for this event loop.

    Raises:
        StudyError: there is no key.
    """
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    key = _key(llm)
    elsewhere: dict[str, Any] = {}
    if secrecy == "confidential":
        # Not `trust_env=False`, which would also forget where the environment keeps certificates.
        direct = dict.fromkeys(("all://", "http://", "https://"))
        elsewhere = {"follow_redirects": False, "mounts": direct}
    async with AsyncOpenAI(
        api_key=key.get_secret_value(),
        base_url=llm.server,
        timeout=llm.timeout_s,
        http_client=DefaultAsyncHttpxClient(**elsewhere),
        max_retries=0,  # ours wait for as long as the server asks, and keep to the budget
    ) as openai:
        yield Client(openai, llm, key, budget, patience, secrecy)


@dataclass
class Client:
    """Sends requests to one server, and waits as it is told to."""

    openai: "AsyncOpenAI"
    llm: LlmSpec
    key: SecretStr
    budget: Budget
    patience: Patience
    secrecy: Secrecy
    error: StudyError | None = None
    """Why nothing more is sent."""
    proven: bool = False
    """Whether anything has worked yet."""
    _free_at: float = 0.0
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """The server, in messages."""
        return f"the language model's server {self.llm.server}"

    def stop(self, error: StudyError) -> None:
        """Let what is under way end, and begin nothing new."""
        self.error = self.error or error
        self._stopped.set()

    async def send(self, call: Call[T]) -> Reply[T]:
        """Send a request until it is answered, `max_retries` times again at most.

        Again after 408, 409, 429, any 5xx, a time-out or a broken connection, and after an
        answer that is none from a server that has given others; never after another status.

        Raises:
            Refused: the server answers with an error status to the last.
            StudyError: it does not answer, asks for too long a wait, answers with something else,
                or the budget is spent.
        """
        from openai import APIConnectionError, APIStatusError

        tries = 0
        while True:
            await self._turn()
            await self.budget.reserve(call.requests, call.worst_usd)
            tries += 1
            usd = 0.0
            text = ""
            trouble: StudyError
            retries = self.llm.max_retries
            try:
                self._check_error()
                usd = call.worst_usd  # of a request that breaks off nobody says what it cost
                raw = await call.post(self.openai)
                self._heed(raw.headers)
                text = self._without_key(raw.text)
                answer = call.read(text)
                usd = call.cost_usd(answer)
                self.proven = True
                return Reply(answer, tries * call.requests)
            except APIStatusError as error:
                usd = 0.0
                self._heed(error.response.headers)
                retries = self._retries(error, call)
                trouble = Refused(self._refusal(error), error.status_code, tries * call.requests)
            except APIConnectionError as error:
                trouble = StudyError(
                    f"{self.name} does not answer ({self.shown(str(error))}). Is it running, "
                    f"and is base_url right?{self._no_proxy()} {KEPT}"
                )
            except ValidationError:
                retries = self.llm.max_retries if self.proven else 0
                trouble = StudyError(
                    f"{self.name} answers, but not with {call.expected}: {self.shown(text)}. "
                    f"Is base_url right? It mostly ends in /v1. {KEPT}"
                )
            finally:
                await self.budget.settle(call.worst_usd, usd)
            if tries > retries:
                raise trouble
            await self.pause(self.patience.retry_s(tries))

    async def _turn(self) -> None:
        """Wait until the server wants to hear from us again."""
        while (left_s := self._free_at - time.monotonic()) > 0:
            self._check_error()
            if left_s > self.patience.longest_wait_s:
                raise StudyError(self._come_back(left_s))
            # Not all at once again.
            await self.pause(left_s + self.patience.retry_s(1) / 2)
        self._check_error()

    async def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until something stops the client."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    def _check_error(self) -> None:
        if self.error:
            raise self.error

    def _heed(self, headers: Any) -> None:
        """Let nothing more be sent for as long as the server asks."""
        wait_s = max(asked_wait_s(headers) or 0.0, exhausted_s(headers))
        self._free_at = max(self._free_at, time.monotonic() + wait_s)

    def _retries(self, error: "APIStatusError", call: Call[T]) -> int:
        status = error.status_code
        if not (status in _PASSING or status >= 500) or error.code == _NO_MONEY:
            return 0
        return min(1, self.llm.max_retries) if status in call.doubtful else self.llm.max_retries

    def _refusal(self, error: "APIStatusError") -> str:
        if error.status_code in (401, 403):
            # The server's own words are left out: some repeat the key.
            return (
                f"{self.name} refuses the key (HTTP {error.status_code}). Check the environment "
                f"variable {self.llm.api_key_variable}, and that its key may use the model "
                f"{self.llm.model}."
            )
        return (
            f"{self.name} refuses or fails (HTTP {error.status_code}) after "
            f"{self.llm.max_retries} retries at most: {self.shown(error.message)}. {KEPT}"
        )

    def _come_back(self, left_s: float) -> str:
        when = datetime.now(UTC) + timedelta(seconds=min(left_s, _TEN_YEARS_S))
        return (
            f"{self.name} asks to wait for {in_words(left_s)}, until {when:%Y-%m-%d %H:%M} UTC; "
            f"no run waits for more than {in_words(self.patience.longest_wait_s)}. {KEPT}"
        )

    def shown(self, text: str) -> str:
        """Return what a server said as one short line."""
        if self.secrecy == "confidential":
            return "its own words are left out, since they may repeat what was asked"
        return one_line(self._without_key(text))[:300]

    def _no_proxy(self) -> str:
        """Return why a server may be out of reach that others reach."""
        return " Reports go through no proxy." if self.secrecy == "confidential" else ""

    def _without_key(self, text: str) -> str:
        # Shorter ones are placeholders of local servers and may be ordinary words.
        secret = self.key.get_secret_value()
        return text.replace(secret, "[key]") if len(secret) >= 8 else text


_PASSING: Final = frozenset({408, 409, 429})
_NO_MONEY: Final = "insufficient_quota"
"""OpenAI's code in a 429 that no waiting cures."""
_TEN_YEARS_S: Final = 3.2e8


def _key(llm: LlmSpec) -> SecretStr:
    """Return the server's key; servers on this machine need none.

    Raises:
        StudyError: the environment variable is empty or holds no key.
    """
    key = os.environ.get(llm.api_key_variable, "").strip()
    if not key and _is_loopback(llm.server):
        return SecretStr("unused")
    if not key:
        raise StudyError(
            f"no key for {llm.server}: set the environment variable "
            f"{llm.api_key_variable} (to any text where the server wants no key), or name "
            "another variable in llm.api_key_variable."
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise StudyError(
            f"the environment variable {llm.api_key_variable} holds blanks or characters that "
            "no key has: copy the key again."
        )
    return SecretStr(key)


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
