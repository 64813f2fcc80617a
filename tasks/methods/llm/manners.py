"""What a server has shown of its ways, so that it is found out once and not in every round."""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from curette.tasks.methods.llm.budget import LIMIT_NAMES
from curette.tasks.methods.llm.completion import LADDER, in_format, with_larger_limit

EFFORT: Final = "reasoning_effort"
_A_VALUE: Final = re.compile(r"\b(?:unsupported|invalid)[ _]values?\b|\bmust be one of\b", re.I)
"""What OpenAI and its like say of a value, as against a parameter."""
_VERSION: Final = re.compile(r"/v\d\w*(?:/|$)|/deployments/")


@dataclass
class Manners:
    """The ways of one server with one model."""

    base_url: str
    """Where it answers: the study's address, or that with /v1."""
    query: dict[str, str]
    """What stands in every address: the version of Azure's older interface."""
    rung: int = 0
    """How far down the ladder of response formats it has made us go."""
    limit_swapped: bool = False
    """Whether it takes the limit of tokens under its other name."""
    effort_refused: bool = False
    """Whether it does not know the setting of how much it thinks, which is then left out."""
    thinks: bool = False
    """Whether an answer needed the larger limit of tokens."""
    proven: bool = False
    """Whether anything has worked yet."""
    answered: bool = False
    """Whether an answer was of use yet."""
    at_a_time: float | None = None
    """How many requests it bears; None where that is not known yet."""
    _elsewhere_tried: bool = False

    @property
    def is_azure(self) -> bool:
        """Whether the key goes into a header of Azure's own."""
        return "api-version" in self.query

    def elsewhere(self) -> str | None:
        """Return another address to be tried, once, where nothing was found at this one."""
        path = urlsplit(self.base_url).path
        if self.proven or self._elsewhere_tried or _VERSION.search(path):
            return None
        self._elsewhere_tried = True
        return f"{self.base_url}/v1"

    def swap_limit(self, body: dict[str, Any], said: str) -> bool:
        """Return whether what a server says is about the name of our limit; then use the other."""
        names = [name for name in LIMIT_NAMES if name in body]
        if self.limit_swapped or not any(re.search(rf"\b{name}\b", said) for name in names):
            return False
        self.limit_swapped = True
        return True

    def leave_out_effort(self, body: dict[str, Any], said: str) -> bool:
        """Return whether a server says that it knows no `reasoning_effort`; then send it no more.

        One that knows it, but not its value, is not obeyed: with the model's own effort the same
        questions would cost another price than the study asked for.
        """
        if EFFORT not in body or not re.search(rf"\b{EFFORT}\b", said) or _A_VALUE.search(said):
            return False
        self.effort_refused = True
        return True

    def body(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a request's body as this server takes it."""
        sent = in_format(body, LADDER[self.rung])
        if self.limit_swapped:
            first, second = LIMIT_NAMES
            other = {first: second, second: first}
            sent = {other.get(key, key): value for key, value in sent.items()}
        if self.effort_refused:
            sent = {key: value for key, value in sent.items() if key != EFFORT}
        return sent

    def first_body(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what a question is asked with at first: with room for thoughts where needed."""
        return with_larger_limit(body) if self.thinks else body


_KNOWN: Final[dict[tuple[Any, str, str], Manners]] = {}


def manners_of(place: Any, server: str, model: str) -> Manners:
    """Return what is known of a server in this process.

    Args:
        place: the shelf of answers, which must be hashable: another store begins anew.
        server: the address that the study names.
        model: the same server may treat another one differently.
    """
    url = urlsplit(server)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    begun = Manners(base_url=server.partition("?")[0], query=query)
    return _KNOWN.setdefault((place, server, model), begun)
