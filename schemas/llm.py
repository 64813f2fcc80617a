"""The language model a study asks, what it may cost, and what it has cost."""

from pydantic import BaseModel, Field


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
    likely: int | None = Field(default=None, description="requests, where somebody has guessed")
    stored: int | None = Field(
        default=0, ge=0, description="of these, answered already; empty where that is not known"
    )
    prompt_tokens_each: float = Field(ge=0, description="mean over the questions")
    completion_tokens_each: float = Field(ge=0, description="the limit of an answer, or a guess")
    note: str = Field(default="", description="what the range depends on")
