"""What a server says went wrong: as a status, or in the body of an answer that looks like one."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Fault(Exception):
    """An error that a server reports."""

    status: int
    """As in HTTP; 0 where it says nothing of the kind."""
    message: str
    code: str = ""

    @property
    def is_final(self) -> bool:
        """Whether no waiting cures it: the account is empty."""
        return self.status == 402 or _NO_MONEY.search(self.code) is not None


_NO_MONEY: Final = re.compile("insufficient_quota|billing_hard_limit|billing_not_active")
_LOWEST, _HIGHEST = 400, 599
# What errors without a number are called, in OpenAI's words and those of its imitators.
_KINDS: Final[Sequence[tuple[str, int]]] = (
    (r"insufficient_quota|insufficient.(?:funds|credits|balance)|billing", 402),
    (r"rate.?limit|too many requests|overloaded|resource.?exhausted|at capacity|\bbusy\b", 429),
    (r"invalid.api.key|authenti|unauthori[sz]ed|permission.denied|forbidden", 401),
    (r"not.?found|unexpected endpoint|unknown (?:url|path|route)", 404),
    (r"invalid.?request|bad.?request|unsupported.(?:parameter|value)|validation", 400),
    (r"unavailable|timed? ?out|internal.(?:server.)?error|server.error", 503),
)


def fault_of(status: int, text: str) -> Fault:
    """Return what an answer with an error status says, in whatever shape it says it."""
    body = _json(text)
    error = _error_of(body)
    message, code = _words(error if error is not None else body)
    return Fault(status, message or text.strip(), code)


def fault_in(body: Any) -> Fault | None:
    """Return the error that stands in the body of an answer with status 200; None where none does.

    Gateways answer so when who is behind them fails.
    """
    error = _error_of(body)
    if error is None:
        return None
    message, code = _words(error)
    return Fault(_status(error, f"{code} {message}"), message, code)


def whole_text(text: str) -> str:
    """Return a text without halves of characters, which JSON may hold and no file may."""
    return text.encode("utf-8", "replace").decode()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _error_of(body: Any) -> Any:
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return None
    if error := body.get("error") or body.get("errors"):
        return error
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0].get("error") or None
    return body if not choices and _number(body) else None


def _words(error: Any) -> tuple[str, str]:
    """Return an error's message and code."""
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, str):
        return whole_text(error), ""
    if not isinstance(error, dict):
        return "", ""
    said = [error.get(key) for key in ("message", "detail", "msg", "reason", "error")]
    message = whole_text(next((str(words) for words in said if words), "") or json.dumps(error))
    raw = (error.get("metadata") or {}) if isinstance(error.get("metadata"), dict) else {}
    if isinstance(raw.get("raw"), str) and raw["raw"] not in message:
        message = f"{message}: {raw['raw']}"
    codes = [error.get(key) for key in ("code", "type", "status", "param")]
    return message, " ".join(code for code in codes if isinstance(code, str))


def _number(error: Any) -> int:
    """Return an error's own status as in HTTP; 0 where it has none."""
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, dict):
        for key in ("code", "status", "status_code", "statusCode"):
            number = error.get(key)
            if isinstance(number, str) and number.isdecimal() and len(number) == 3:
                number = int(number)
            if isinstance(number, int) and _LOWEST <= number <= _HIGHEST:
                return number
    return 0


def _status(error: Any, words: str) -> int:
    if number := _number(error):
        return number
    found = (status for kind, status in _KINDS if re.search(kind, words[:1000], re.IGNORECASE))
    return next(found, 0)
