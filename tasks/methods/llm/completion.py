"""One chat completion: what is sent, in which response format, and what of the answer is used."""

from pathlib import Path
from string import Template
from typing import Any, Final

from pydantic import BaseModel, Field

from curette.schemas.responses import AnswerFormat, Delivery, LlmResponse
from curette.schemas.settings.llm import LlmPrices
from curette.tasks.methods.llm.budget import cost_usd, prompt_tokens
from curette.tasks.methods.llm.reading import AnswerForm, excerpt_of
from curette.tasks.methods.llm.tokens import count_tokens

ATTEMPTS: Final = 3
"""How often a question is asked until its last answer is kept, usable or not."""

LADDER: Final[tuple[AnswerFormat, ...]] = ("json_schema", "json_object", "text")
"""Servers enforce a JSON schema, ignore it, or answer 400 or 500: then the next is tried."""

# What a server may answer that cannot handle a response format: any 4xx but those about keys,
# money and load, and 500 or 501 but not what proxies say of a server that is down.
_NOT_ABOUT_THE_FORMAT: Final = frozenset({401, 402, 403, 407, 408, 409, 429})
ABOUT_THE_FORMAT: Final = frozenset({*range(400, 500), 500, 501}) - _NOT_ABOUT_THE_FORMAT

_PROMPTS: Final = Path(__file__).parent / "prompts"


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class Completion(BaseModel):
    """The parts of a chat completion that we use; anything else a server sends is ignored."""

    model: str = ""
    choices: tuple[_Choice, ...] = Field(min_length=1)
    usage: _Usage | None = None

    def tokens(self, body: dict[str, Any]) -> tuple[int, int]:
        """Return the tokens read and written, counted by us where the server does not say."""
        if self.usage is not None:
            return self.usage.prompt_tokens, self.usage.completion_tokens
        said = self.choices[0].message.content or ""
        return prompt_tokens(body), count_tokens(said, body["model"])


def in_format(body: dict[str, Any], format: AnswerFormat) -> dict[str, Any]:  # noqa: A002
    """Return a request's body, which asks for a JSON schema, as it asks for another format."""
    if format == "json_schema":
        return body
    without = {key: value for key, value in body.items() if key != "response_format"}
    return without if format == "text" else {**without, "response_format": {"type": format}}


def response_of(
    completion: Completion,
    body: dict[str, Any],
    format: AnswerFormat,  # noqa: A002
    delivery: Delivery,
    earlier: LlmResponse | None,
    requests: int,
) -> LlmResponse:
    """Return the response to the body sent, with what the `earlier` attempts have cost added."""
    choice = completion.choices[0]
    read, written = completion.tokens(body)
    return LlmResponse(
        text=choice.message.content or "",
        finish_reason=choice.finish_reason or "",
        refusal=choice.message.refusal or "",
        model=completion.model,
        format=format,
        delivery=delivery,
        attempts=1 + (earlier.attempts if earlier else 0),
        requests=requests + (earlier.requests if earlier else 0),
        prompt_tokens=read + (earlier.prompt_tokens if earlier else 0),
        completion_tokens=written + (earlier.completion_tokens if earlier else 0),
    )


def repair(
    body: dict[str, Any], wrong: LlmResponse, problem: str, form: AnswerForm[Any]
) -> dict[str, Any]:
    """Return the body that asks again, showing the model its answer and what was wrong."""
    excerpt = excerpt_of(wrong)
    if wrong.error or not excerpt.strip():
        # Chat templates refuse an empty message or two users in a row.
        return body
    template = Template((_PROMPTS / "repair.md").read_text(encoding="utf-8"))
    again = [
        {"role": "assistant", "content": excerpt},
        {"role": "user", "content": template.substitute(problem=problem, example=form.example)},
    ]
    return {**body, "messages": [*body["messages"], *again]}


def paid(
    completion: Completion, body: dict[str, Any], prices: LlmPrices | None, delivery: Delivery
) -> float:
    """Return what a completion has cost; 0 where no prices are given."""
    return cost_usd(*completion.tokens(body), prices, delivery) if prices else 0.0
