"""The language model a study asks, and what it may cost."""

import re
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, Field, field_validator, model_validator

OPENAI_URL: Final = "https://api.openai.com/v1"
_ENDPOINT: Final = re.compile(r"/(?:chat/completions|completions|embeddings|responses|models)/*$")
"""What follows the base of an address; whoever copies a whole address has it too."""


def _is_unset(value: object) -> bool:
    """Leave a setting that says nothing out of what is kept: earlier artifacts never had it."""
    return value is None


class LlmPrices(BaseModel, frozen=True, extra="forbid"):
    """What a million tokens cost at the model's server, in US dollars."""

    prompt_usd: float = Field(ge=0, description="a million tokens of questions")
    completion_usd: float = Field(ge=0, description="a million tokens of answers")
    batch_factor: float = Field(
        default=0.5, ge=0, le=1, description="share of these prices that batches cost"
    )


class LlmSpec(BaseModel, frozen=True, extra="forbid"):
    """A language model behind any server that speaks OpenAI's chat completions."""

    model: str = Field(min_length=1, description="the model's name at its server")
    base_url: str | None = Field(
        default=None,
        description="the server, mostly ending in /v1, or Azure's address of a deployment with its "
        "?api-version; empty: OpenAI's own",
    )
    api_key_variable: str = Field(
        default="OPENAI_API_KEY",
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="environment variable that holds the key; the key itself is never stored",
    )
    delivery: Literal["live", "batch"] = Field(
        default="live",
        description="batch: through OpenAI's Batch API, cheaper and within a day; for large jobs",
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="empty: the server's own; some models take no other"
    )
    max_tokens: int | None = Field(
        default=2000, gt=0, description="limit of one answer; empty: not sent"
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="how much a model thinks that lets one say so; empty: not sent. Left out where "
        "the server does not know it; a value that the model does not take is an error",
    )
    thinking_tokens: int | None = Field(
        default=None,
        gt=0,
        exclude_if=_is_unset,
        description="room for thoughts in the limit of one answer, on top of `max_tokens`; "
        "estimates and `max_cost_usd` count them as used",
    )
    timeout_s: float = Field(
        default=120, gt=0, description="without a word of an answer; it may take twice that in all"
    )
    max_retries: int = Field(default=6, ge=0, le=20, description="per request")
    concurrency: int = Field(
        default=8,
        gt=0,
        le=256,
        description="requests at a time at most; fewer where the server is slow",
    )
    draw: int = Field(default=0, ge=0, description="another number asks for fresh answers")
    prices: LlmPrices | None = Field(
        default=None, description="for estimates, reports and `max_cost_usd`"
    )
    max_requests: int | None = Field(
        default=None,
        gt=0,
        description="no more requests than this in the whole study; a later run does not remember "
        "what an earlier one sent without getting an answer to keep",
    )
    max_cost_usd: float | None = Field(
        default=None,
        gt=0,
        description="no request that could cost the study more than this; counted as max_requests",
    )

    @property
    def server(self) -> str:
        """Where everything that is asked is sent."""
        return self.base_url or OPENAI_URL

    @property
    def token_limit(self) -> int | None:
        """The most tokens of one answer, thoughts included; None: no limit is sent."""
        return None if self.max_tokens is None else self.max_tokens + (self.thinking_tokens or 0)

    def expected_tokens(self, answer: int) -> float:
        """Return what is to be paid for of an answer so long: cut off at its limit, and thoughts.

        Thoughts are counted as if they used all the room that they have.
        """
        return float(min(answer, self.max_tokens or answer) + (self.thinking_tokens or 0))

    def identity(self) -> dict[str, Any]:
        """Return what can change an answer or what it is said to have cost.

        Not how patiently it is asked, and not the limits: those end a run, they alter nothing.
        """
        patience = {"timeout_s", "max_retries", "concurrency", "delivery", "api_key_variable"}
        limits = {"max_requests", "max_cost_usd"}
        return self.model_dump(mode="json", exclude=patience | limits)

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, value: str | None) -> str | None:
        """Refuse what is no server, or carries a password into manifests and logs."""
        if value is None:
            return None
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("base_url must look like http://localhost:8000/v1")
        # Azure's older addresses need the version; it is no secret.
        version = re.fullmatch(r"api-version=[\w.-]+", url.query)
        if "@" in url.netloc or (url.query and not version) or url.fragment:
            raise ValueError(
                "base_url must hold no user, password or query but Azure's `api-version`: "
                "manifests repeat it. Put the key into the environment variable that "
                "api_key_variable names"
            )
        path = _ENDPOINT.sub("", url.path)
        return urlunsplit((url.scheme, url.netloc, path.rstrip("/"), url.query, ""))

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.thinking_tokens is not None and self.max_tokens is None:
            raise ValueError(
                "thinking_tokens are added to `max_tokens`, which is empty: name both, or neither"
            )
        if self.max_cost_usd is not None and (self.prices is None or self.max_tokens is None):
            raise ValueError(
                "max_cost_usd needs `prices`, and `max_tokens` so that an answer has a largest cost"
            )
        return self
