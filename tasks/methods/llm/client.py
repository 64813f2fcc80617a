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

from pydantic import SecretStr

from curette.schemas.artifact import StudyError
from curette.schemas.settings.llm import LlmSpec
from curette.tasks.methods.llm.bounds import MOST_BYTES, TooLarge, bound, most_bytes
from curette.tasks.methods.llm.budget import KEPT, Budget
from curette.tasks.methods.llm.faults import Fault, fault_of
from curette.tasks.methods.llm.manners import Manners
from curette.tasks.methods.llm.pace import Pace
from curette.tasks.methods.llm.patience import Patience, asked_wait_s, exhausted_s, in_words
from curette.tasks.methods.llm.quoting import one_line
from curette.tasks.methods.llm.shown import Pictures

if TYPE_CHECKING:  # importing openai takes a second, which stored and recorded answers can spare
    from openai import AsyncOpenAI

T = TypeVar("T")
Secrecy = Literal["ordinary", "confidential"]
"""Of what is confidential nothing may go elsewhere: no redirect is followed, no proxy of the
environment is used, and errors do not show what a server says, since that may repeat what it was
asked."""


class Refused(StudyError):
    """The server answered with an error that is not, or no longer, worth a retry."""

    def __init__(self, message: str, status: int, requests: int, said: str):
        super().__init__(message)
        self.status = status
        self.requests = requests
        self.said = said
        """In the server's own words, for decisions: they are in no message that must not repeat
        what was asked."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One HTTP request, how its answer is read, and what counts against the budget."""

    post: Callable[[Any], Awaitable[Any]]
    """From openai's client to its raw response."""
    read: Callable[[str], T]
    """Raises ValueError where the answer is not what was asked for, `Fault` where it is one."""
    expected: str
    """What the answer should be, for messages: `chat completions`."""
    requests: int = 1
    worst_usd: float = 0.0
    cost_usd: Callable[[T], float] = lambda _: 0.0
    doubtful: frozenset[int] = frozenset()
    """Statuses that may speak of the request rather than of trouble: retried once only."""
    most_bytes: int = MOST_BYTES
    """Of the answer."""


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An answer, and how many requests it took."""

    answer: T
    requests: int


@asynccontextmanager
async def connect(
    llm: LlmSpec,
    budget: Budget,
    patience: Patience,
    manners: Manners,
    secrecy: Secrecy = "ordinary",
    pictures: Pictures | None = None,
) -> AsyncIterator["Client"]:
    """Open a client for this event loop.

    Raises:
        StudyError: there is no key.
    """
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    key = find_key(llm)
    elsewhere: dict[str, Any] = {}
    if secrecy == "confidential" or is_loopback(llm.server):
        # Not `trust_env=False`, which would also forget where the environment keeps certificates.
        elsewhere["mounts"] = dict.fromkeys(("all://", "http://", "https://"))
    if secrecy == "confidential":
        elsewhere["follow_redirects"] = False

    async def as_azure_wants_it(request: Any) -> None:
        if manners.is_azure:
            request.headers.pop("authorization", None)
            request.headers["api-key"] = key.get_secret_value()

    hooks: dict[str, list[Callable[..., Any]]] = {
        "request": [as_azure_wants_it],
        "response": [bound],
    }
    async with AsyncOpenAI(
        api_key=key.get_secret_value(),
        base_url=manners.base_url,
        timeout=llm.timeout_s,
        default_headers={"Accept-Encoding": "identity"},
        default_query=manners.query,
        http_client=DefaultAsyncHttpxClient(event_hooks=hooks, **elsewhere),
        max_retries=0,  # ours wait for as long as the server asks, and keep to the budget
    ) as openai:
        at_a_time = manners.at_a_time or llm.concurrency
        pace = Pace(llm.concurrency, llm.timeout_s, min(at_a_time, llm.concurrency))
        try:
            yield Client(openai, llm, key, budget, patience, manners, pace, secrecy, pictures)
        finally:
            manners.at_a_time = pace.at_a_time if manners.proven else None


@dataclass
class Client:
    """Sends requests to one server, and waits as it is told to."""

    openai: "AsyncOpenAI"
    llm: LlmSpec
    key: SecretStr
    budget: Budget
    patience: Patience
    manners: Manners
    pace: Pace
    secrecy: Secrecy
    pictures: Pictures | None = None
    """Where the pixels come from that requests only name."""
    error: StudyError | None = None
    """Why nothing more is sent."""
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
        Where nothing is found at an address without a version, /v1 is tried once.

        Raises:
            Refused: the server answers with an error to the last.
            StudyError: it does not answer, asks for too long a wait, answers with something else,
                or the budget is spent.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return Reply(await self._try(call), tries * call.requests)
            except _Trouble as trouble:
                if trouble.may_be_elsewhere and (other := self.manners.elsewhere()):
                    self.openai = self.openai.with_options(base_url=other)
                    continue
                if tries > trouble.retries:
                    raise trouble.error(tries) from None
            await self.pause(self.patience.retry_s(tries))

    async def _try(self, call: Call[T]) -> T:
        """Send a request once.

        Raises:
            _Trouble: it came to nothing.
            StudyError: nothing more may be sent.
        """
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        async with self.pace.place() as under_way:
            await self._turn()
            await self.budget.reserve(call.requests, call.worst_usd)
            usd = 0.0
            text = ""
            began = time.monotonic()
            try:
                self._check_error()
                usd = call.worst_usd  # of a request that breaks off nobody says what it cost
                most_bytes.set(call.most_bytes)
                async with asyncio.timeout(IN_ALL * self.llm.timeout_s):
                    raw = await call.post(self.openai)
                self._heed(raw.headers)
                text = self._without_key(raw.text)
                answer = call.read(text)
                usd = call.cost_usd(answer)
                self._worked(time.monotonic() - began)
            except APIStatusError as error:
                usd = 0.0
                self._heed(error.response.headers)
                fault = fault_of(error.status_code, error.response.text)
                raise self._refused(fault, call) from None
            except Fault as fault:
                usd = 0.0
                raise self._refused(fault, call) from None
            except (APITimeoutError, TimeoutError):
                self.pace.timed_out()
                raise self._timed_out(under_way) from None
            except APIConnectionError as error:
                raise self._broken(error) from None
            except TooLarge as error:
                raise self._too_large(error) from None
            except ValueError:
                raise self._strange(text, call.expected) from None
            else:
                return answer
            finally:
                await self.budget.settle(call.worst_usd, usd)

    def _worked(self, seconds: float) -> None:
        if self.manners.proven:
            self.pace.heed(seconds)
        else:
            self.manners.proven = True
            self.manners.base_url = str(self.openai.base_url).rstrip("/")
            if self.pace.under_way == 1:
                self.pace.begin(seconds)

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

    def _refused(self, fault: Fault, call: Call[Any]) -> "_Trouble":
        """Return the trouble that the server itself reports."""
        status = fault.status
        retries = self.llm.max_retries
        if not status:  # an error in words of its own: as garbage
            retries = retries if self.manners.proven else 0
        elif fault.is_final or not (status in _PASSING or status >= 500):
            retries = 0
        elif status in call.doubtful:
            retries = min(1, retries)
        said = f"{fault.code} {fault.message}"

        def error(tries: int) -> StudyError:
            told = self._refusal(fault, tries - 1)
            return Refused(told, status, tries * call.requests, said)

        return _Trouble(error, retries, may_be_elsewhere=status in _NOT_HERE)

    def _refusal(self, fault: Fault, retries: int) -> str:
        status = fault.status
        if status in (401, 403):
            # The server's own words are left out: some repeat the key.
            return (
                f"{self.name} refuses the key (HTTP {status}). Check the environment "
                f"variable {self.llm.api_key_variable}, and that its key may use the model "
                f"{self.llm.model}."
            )
        again = f" after {retries} retr{'y' if retries == 1 else 'ies'}" if retries else ""
        number = f"HTTP {status}" if status else "an error in the place of an answer"
        return (
            f"{self.name} refuses or fails ({number}){again}: {self.shown(fault.message)}. "
            f"{self._remedy(fault)}{KEPT}"
        )

    def _remedy(self, fault: Fault) -> str:
        """Return what can be done about a refusal, where that is known."""
        asked = f"{str(self.openai.base_url).rstrip('/')}/chat/completions"
        if fault.status in _NOT_HERE and not self.manners.proven:
            return (
                f"Asked was POST {asked}. Is base_url right (it mostly ends in /v1; at Azure in "
                "/openai/v1, or in /openai/deployments/NAME?api-version=...), and is "
                f"{self.llm.model} the model's name there? "
            )
        if fault.is_final:
            return "The account has nothing left, which no waiting cures. "
        if re.search(r"\btemperature\b", fault.message) and self.llm.temperature is not None:
            return "Leave llm.temperature out of the study: some models take no other than theirs. "
        if re.search(r"\breasoning_effort\b", fault.message) and self.llm.reasoning_effort:
            return "Set llm.reasoning_effort to a value that this model takes, or leave it out. "
        return ""

    def _timed_out(self, under_way: int) -> "_Trouble":
        alone = under_way == 1 and not self.manners.proven
        retries = min(self.llm.max_retries, _FIRST_WAITS) if alone else self.llm.max_retries

        def error(tries: int) -> StudyError:
            return StudyError(
                f"{self.name} gave no answer within {self.llm.timeout_s:g} s (llm.timeout_s), "
                f"asked {'once' if tries == 1 else f'{tries} times'}, with {under_way} "
                f"request{'s' if under_way > 1 else ''} under way at last (llm.concurrency allows "
                f"{self.llm.concurrency}). A slow server needs a longer llm.timeout_s; one that "
                f"answers one request after the other, llm.concurrency: 1. {KEPT}"
            )

        return _Trouble(error, retries)

    def _broken(self, broken: Exception) -> "_Trouble":
        told = (
            f"{self.name} does not answer ({self.shown(str(broken))}). Is it running, "
            f"and is base_url right?{self._no_proxy()} {KEPT}"
        )
        return _Trouble(lambda _: StudyError(told), self.llm.max_retries)

    def _too_large(self, why: TooLarge) -> "_Trouble":
        told = f"{self.name} is not listened to any longer: {why}. Is base_url right? {KEPT}"
        return _Trouble(lambda _: StudyError(told), 0)

    def _strange(self, text: str, expected: str) -> "_Trouble":
        told = (
            f"{self.name} answers, but not with {expected}: {self.shown(text)}. "
            f"Is base_url right? It mostly ends in /v1. {KEPT}"
        )
        retries = self.llm.max_retries if self.manners.proven else 0
        return _Trouble(lambda _: StudyError(told), retries, may_be_elsewhere=True)

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
        return " Reports and images go through no proxy." if self.secrecy == "confidential" else ""

    def _without_key(self, text: str) -> str:
        # Shorter ones are placeholders of local servers and may be ordinary words.
        secret = self.key.get_secret_value()
        return text.replace(secret, "[key]") if len(secret) >= 8 else text


class _Trouble(Exception):
    """A try came to nothing: how often another is worth while, and what is said in the end."""

    def __init__(
        self, error: Callable[[int], StudyError], retries: int, may_be_elsewhere: bool = False
    ):
        self.error = error
        """From the number of tries."""
        self.retries = retries
        self.may_be_elsewhere = may_be_elsewhere


IN_ALL: Final = 2.0
"""An answer may take so many times the time-out from its first byte to its last."""
_FIRST_WAITS: Final = 2
"""Time-outs of a server that has never answered, and may be loading its model, are waited out."""
_PASSING: Final = frozenset({408, 409, 429})
_NOT_HERE: Final = frozenset({404, 405})
_TEN_YEARS_S: Final = 3.2e8


def find_key(llm: LlmSpec) -> SecretStr:
    """Return the server's key; servers on this machine need none.

    Raises:
        StudyError: the environment variable is empty or holds no key.
    """
    key = os.environ.get(llm.api_key_variable, "").strip()
    if not key and is_loopback(llm.server):
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


def is_loopback(base_url: str) -> bool:
    """Return whether an address is on this machine, which no proxy reaches."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
