"""One chat completion: what is sent, in which response format, and what of the answer is used."""

import json
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from curette.schemas.responses import AnswerFormat, Delivery, LlmResponse
from curette.schemas.settings.llm import LlmPrices
from curette.tasks.methods.llm.budget import LIMIT_NAMES, cost_usd, prompt_tokens, token_limit
from curette.tasks.methods.llm.faults import fault_in, whole_text
from curette.tasks.methods.llm.reading import AnswerForm, excerpt_of
from curette.tasks.methods.llm.tokens import count_tokens

ATTEMPTS: Final = 3
"""How often a question is asked until its last answer is kept, usable or not."""
LARGER: Final = 4
"""An answer that was cut off is asked for once more, with so many times the limit of tokens."""

LADDER: Final[tuple[AnswerFormat, ...]] = (
    "json_schema",
    "json_object_with_schema",
    "json_object",
    "text",
)
"""Servers enforce a JSON schema, ignore it, or answer 400 or 500: then the next is tried.

The second is llama-cpp-python's way of taking a schema.
"""

# What a server may answer that cannot handle a response format: any 4xx but those about keys,
# money and load, and 500 or 501 but not what proxies say of a server that is down.
_NOT_ABOUT_THE_FORMAT: Final = frozenset({401, 402, 403, 407, 408, 409, 429})
ABOUT_THE_FORMAT: Final = frozenset({*range(400, 500), 500, 501}) - _NOT_ABOUT_THE_FORMAT

_PROMPTS: Final = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Completion:
    """The parts of a chat completion that we use; whatever else a server sends is ignored."""

    text: str
    thoughts: str = ""
    """Where the server keeps them apart from the text."""
    finish_reason: str = ""
    refusal: str = ""
    model: str = ""
    read: int | None = None
    """Tokens of the question; None where the server does not say."""
    written: int | None = None
    """Tokens of the answer, thoughts included."""
    thought: int = 0
    """Tokens of thoughts, as far as the server says."""

    @classmethod
    def of(cls, body: Any) -> "Completion":
        """Return what a body says; nothing but the first choice's text is needed of it.

        A body without choices is an answer that says nothing, as where a filter took the question.

        Raises:
            Fault: the body holds an error.
            ValueError: it is no chat completion.
        """
        choices = body.get("choices") if isinstance(body, dict) else None
        first = choices[0] if isinstance(choices, list) and choices else None
        message = _message_of(first)
        text = _text_of_message(message)
        if not text and (fault := fault_in(body)):
            raise fault
        if choices is None or (first is not None and not isinstance(first, dict)):
            raise ValueError("no chat completion")
        usage = _dict(body.get("usage"))
        details = _dict(usage.get("completion_tokens_details"))
        thought = _count(details.get("reasoning_tokens")) or 0
        thoughts = _text_of(message.get("reasoning_content")) or _text_of(message.get("reasoning"))
        return cls(
            text=text,
            thoughts="" if text.strip() else thoughts,
            finish_reason=_word(_dict(first).get("finish_reason")),
            refusal=_word(message.get("refusal")),
            model=_word(body.get("model")),
            read=_count(usage.get("prompt_tokens")),
            written=_written(usage, thought),
            thought=thought,
        )

    @classmethod
    def read_from(cls, said: str) -> "Completion":
        """Return what the text of an HTTP answer says, in one piece or as a stream of events.

        Raises:
            Fault: it holds an error.
            ValueError: it is no chat completion.
        """
        said = said.removeprefix("\ufeff")
        try:
            return cls.of(_joined(said) if _is_stream(said) else json.loads(said))
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def tokens(self, body: dict[str, Any]) -> tuple[int, int]:
        """Return the tokens read and written, counted by us where the server does not say."""
        read = prompt_tokens(body) if self.read is None else self.read
        said = self.text or self.thoughts
        written = count_tokens(said, body["model"]) if self.written is None else self.written
        return read, written


def _is_stream(said: str) -> bool:
    return said.lstrip().startswith(("data:", "event:", ":"))


def _joined(said: str) -> Any:
    """Return the body that the events of a stream add up to, as servers send it unasked."""
    whole: dict[str, Any] = {}
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": [], "refusal": []}
    finish = ""
    for line in said.splitlines():
        data = line.partition("data:")[2].strip() if line.startswith("data:") else ""
        if not data or data == "[DONE]":
            continue
        event = json.loads(data)
        if fault := fault_in(event):
            raise fault
        whole |= {key: value for key, value in event.items() if value}
        choices = event.get("choices")
        first = _dict(choices[0]) if isinstance(choices, list) and choices else {}
        message = _message_of(first)
        texts["content"].append(_text_of(message.get("content")))
        thought = message.get("reasoning_content") or message.get("reasoning")
        texts["reasoning_content"].append(_text_of(thought))
        texts["refusal"].append(_word(message.get("refusal")))
        finish = _word(first.get("finish_reason")) or finish
    if not whole:
        raise ValueError("an empty stream")
    message = {key: "".join(parts) for key, parts in texts.items()}
    return {**whole, "choices": [{"message": message, "finish_reason": finish}]}


def _message_of(choice: Any) -> dict[str, Any]:
    """Return a choice's message, whether whole, a piece of a stream, or plain text."""
    choice = _dict(choice)
    if "message" in choice or "delta" in choice:
        return _dict(choice.get("message") or choice.get("delta"))
    return {"content": choice.get("text")}


def _text_of(content: Any) -> str:
    """Return the text of a message's content: as it is, or the parts of it that are text."""
    if isinstance(content, str):
        return whole_text(content)
    content = [content] if isinstance(content, dict) else content
    if not isinstance(content, list):
        return ""
    parts = [
        part if isinstance(part, str) else _dict(part).get("text")
        for part in content
        if isinstance(part, str) or _dict(part).get("type") in (None, "text", "output_text")
    ]
    return whole_text("".join(part for part in parts if isinstance(part, str)))


def _text_of_message(message: dict[str, Any]) -> str:
    """Return a message's text, which some servers hand over as the arguments of a call."""
    if text := _text_of(message.get("content")):
        return text
    calls = message.get("tool_calls")
    call = _dict(calls[0] if isinstance(calls, list) and calls else None).get("function")
    said = _dict(call or message.get("function_call")).get("arguments")
    return _text_of(json.dumps(said) if isinstance(said, dict) else said)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return whole_text(value) if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e12 else None


def _written(usage: dict[str, Any], thought: int) -> int | None:
    """Return the tokens of an answer with its thoughts, which some servers count beside it.

    Those of xAI do: what they call the total is the question, the answer and the thoughts. Where a
    server gives no total, more thoughts than answer tell the same.
    """
    written = _count(usage.get("completion_tokens"))
    if written is None:
        return None
    read, total = _count(usage.get("prompt_tokens")), _count(usage.get("total_tokens"))
    beside = total == (read or 0) + written + thought if total else thought > written
    return written + thought if beside else written


def in_format(body: dict[str, Any], format: AnswerFormat) -> dict[str, Any]:  # noqa: A002
    """Return a request's body, which asks for a JSON schema, as it asks for another format."""
    if format == "json_schema":
        return body
    without = {key: value for key, value in body.items() if key != "response_format"}
    if format == "text":
        return without
    asked: dict[str, Any] = {"type": "json_object"}
    if format == "json_object_with_schema":
        asked["schema"] = body["response_format"]["json_schema"]["schema"]
    return {**without, "response_format": asked}


def response_of(
    completion: Completion,
    body: dict[str, Any],
    format: AnswerFormat,  # noqa: A002
    delivery: Delivery,
    earlier: LlmResponse | None,
    requests: int,
) -> LlmResponse:
    """Return the response to the body sent, with what the `earlier` attempts have cost added."""
    read, written = completion.tokens(body)
    return LlmResponse(
        text=completion.text,
        thoughts=completion.thoughts,
        finish_reason=completion.finish_reason,
        refusal=completion.refusal,
        model=completion.model,
        format="json_object" if format == "json_object_with_schema" else format,
        delivery=delivery,
        attempts=1 + (earlier.attempts if earlier else 0),
        requests=requests + (earlier.requests if earlier else 0),
        prompt_tokens=read + (earlier.prompt_tokens if earlier else 0),
        completion_tokens=written + (earlier.completion_tokens if earlier else 0),
        token_limit=token_limit(body) or 0,
        thought_tokens=completion.thought,
    )


def is_last(response: LlmResponse, body: dict[str, Any]) -> bool:
    """Return whether a question is asked no more, however its answer turned out.

    After `ATTEMPTS`, or where a larger limit of tokens than the question's was used up too.
    """
    limit = token_limit(body)
    cut = response.finish_reason == "length" and limit is not None and response.attempts > 1
    return response.attempts >= ATTEMPTS or (cut and response.token_limit > (limit or 0))


def repair(
    body: dict[str, Any], wrong: LlmResponse, problem: str, form: AnswerForm[Any]
) -> dict[str, Any]:
    """Return the body that asks again, showing the model its answer and what was wrong.

    Where the answer was cut off its limit is larger: a model that thinks may have used it up.
    """
    if wrong.finish_reason == "length":
        body = with_larger_limit(body)
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


def with_larger_limit(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with `LARGER` times its limit of tokens; the same where it has none."""
    return {k: LARGER * v if k in LIMIT_NAMES else v for k, v in body.items()}


def paid(
    completion: Completion, body: dict[str, Any], prices: LlmPrices | None, delivery: Delivery
) -> float:
    """Return what a completion has cost; 0 where no prices are given."""
    return cost_usd(*completion.tokens(body), prices, delivery) if prices else 0.0
