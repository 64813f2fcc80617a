"""How long to wait: what servers ask for, and what is waited where they ask for nothing."""

import email.utils
import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Patience:
    """How long is waited. No setting of a study: it changes when an answer comes, not which."""

    first_retry_s: float = 0.5
    """Doubled with every retry ..."""
    longest_retry_s: float = 60.0
    """... up to this, where the server names no time."""
    longest_wait_s: float = 3_600.0
    """A server that asks for more ends the run, which says when to come back."""
    first_poll_s: float = 5.0
    """Between two looks at a batch; grows by half each time ..."""
    longest_poll_s: float = 300.0
    """... up to this."""
    longest_batch_s: float = 26 * 3_600.0
    """OpenAI ends a batch after 24 hours; a server that does not is not waited for for ever."""

    def retry_s(self, tries: int) -> float:
        """Return the wait after the `tries`-th try: exponential, less up to half of it by chance.

        Chance keeps clients that failed together from coming back together.
        """
        longest = min(self.first_retry_s * 2.0 ** min(tries - 1, 64), self.longest_retry_s)
        return longest * random.uniform(0.5, 1.0)

    def poll_s(self, looks: int) -> float:
        """Return the wait before the next look at a batch."""
        return min(self.first_poll_s * 1.5 ** min(looks, 64), self.longest_poll_s)


PATIENCE: Final = Patience()


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a `Retry-After` header asks for; None where it asks for nothing.

    In seconds or as a date (RFC 9110, section 10.2.3), or OpenAI's `retry-after-ms`.
    """
    if (wait := _number(headers.get("retry-after-ms", ""))) is not None:
        return wait / 1000
    asked = headers.get("retry-after", "")[:_LONGEST]
    if (wait := _number(asked)) is not None:
        return wait
    try:
        return max(0.0, email.utils.parsedate_to_datetime(asked).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def exhausted_s(headers: Mapping[str, str]) -> float:
    """Return the seconds until a rate limit that is used up is reset; 0 where none is.

    OpenAI's headers: `x-ratelimit-remaining-requests` and `-tokens`, `x-ratelimit-reset-...`.
    """
    return max(
        _duration_s(headers.get(f"x-ratelimit-reset-{kind}", ""))
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"
        else 0.0
        for kind in ("requests", "tokens")
    )


def in_words(seconds: float) -> str:
    """Return a duration for people."""
    for unit, size in (("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


_LONGEST: Final = 100
"""Characters of a header that are looked at."""
_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}


def _duration_s(text: str) -> float:
    """Return the seconds of `6m0s`, `1h2m3.5s`, `12ms` or a bare number; 0 of anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|d|h|m|s|$)", text[:_LONGEST].strip())
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
