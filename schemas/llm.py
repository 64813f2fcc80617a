"""The language model a study asks, what it may cost, and what it has cost."""

from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator, model_validator

OPENAI_URL: Final = "https://api.openai.com/v1"


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
        default=None, description="the server, mostly ending in /v1; empty: OpenAI's own"
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
    timeout_s: float = Field(default=120, gt=0)
    max_retries: int = Field(default=6, ge=0, le=20, description="per request")
    concurrency: int = Field(default=8, gt=0, le=256, description="requests at a time")
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
        if "@" in url.netloc or url.query:
            raise ValueError(
                "base_url must hold no user, password or query: manifests repeat it. Put the key "
                "into the environment variable that api_key_variable names"
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.max_cost_usd is not None and (self.prices is None or self.max_tokens is None):
            raise ValueError(
                "max_cost_usd needs `prices`, and `max_tokens` so that an answer has a largest cost"
            )
        return self


class Usage(BaseModel, frozen=True):
    """What answers have cost, whether they came in this run or an earlier one of the study."""

    requests: int = Field(default=0, ge=0, description="requests sent, repeated ones included")
    answers: int = Field(default=0, ge=0, description="questions that have an answer")
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    cost_usd: float | None = Field(default=None, description="empty where no prices are given")

    def __add__(self, other: "Usage") -> "Usage":
        """Return what both have cost; the cost is known only where it is for all tokens."""
        costs = [u.cost_usd for u in (self, other) if u.requests]
        known = bool(costs) and all(c is not None for c in costs)
        return Usage(
            requests=self.requests + other.requests,
            answers=self.answers + other.answers,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=sum(c for c in costs if c is not None) if known else None,
        )


class RequestForecast(BaseModel, frozen=True):
    """What one kind of question will cost at least and at most, as far as can be told."""

    name: str = Field(description="what is asked, such as `class prompts`")
    fewest: int = Field(ge=0, description="requests")
    most: int = Field(ge=0, description="requests")
    stored: int | None = Field(
        default=0, ge=0, description="of these, answered already; empty where that is not known"
    )
    prompt_tokens_each: float = Field(ge=0, description="mean over the questions")
    completion_tokens_each: float = Field(ge=0, description="the limit of an answer, or a guess")
    note: str = Field(default="", description="what the range depends on")
