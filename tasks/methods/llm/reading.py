"""The form that an answer must have, and how an answer is read, however it is wrapped."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from curette.schemas.responses import LlmResponse
from curette.tasks.methods.llm.quoting import one_line

A = TypeVar("A", bound=BaseModel)

EXCERPT: Final = 2_000
"""Characters of an unusable answer that are quoted back to the model or kept."""


class Unusable(Exception):
    """An answer cannot be read; the text says why."""


@dataclass(frozen=True)
class AnswerForm(Generic[A]):
    """The form an answer must have: a JSON schema for the server, a pydantic model for us."""

    name: str
    """Of the JSON schema: letters, digits, dashes and underscores."""
    model: type[A]
    example: str
    """Shown to a model whose answer had another form."""
    from_text: Callable[[str], A | None] | None = None
    """How to read an answer without JSON, such as a bulleted list; None where it is none."""


def read_answer(response: LlmResponse, form: AnswerForm[A]) -> A:
    """Return what a response says in the form asked for.

    JSON is read wherever it stands in the text (alone, fenced, after an introduction or a
    `<think>` block), with trailing commas and raw control characters forgiven, and a bare list
    where the form is an object of one list; where there is no such JSON, `form.from_text` reads.

    Raises:
        Unusable: the model refused, was cut off, said nothing, or kept to no such form.
    """
    if response.error:
        raise Unusable(response.error)
    if response.refusal or response.finish_reason == "content_filter":
        raise Unusable("the model refused to answer")
    if response.finish_reason == "length":
        raise Unusable("the answer was cut off at its limit of tokens")
    text = response.text.rpartition("</think>")[2].strip()
    if not text:
        raise Unusable("the answer is empty")
    problems: list[str] = []
    for excerpt in _json_in(text, form):
        try:
            return form.model.model_validate_json(excerpt)
        except ValidationError as error:
            problems += _said_by(error)
    if (found := _from_text(text, form)) is not None:
        return found
    raise Unusable(problems[0] if problems else "the answer is not in the form asked for")


def excerpt_of(response: LlmResponse) -> str:
    """Return what came as an answer, cut to `EXCERPT` characters."""
    return (response.refusal or response.text or response.error)[:EXCERPT]


def response_format(form: AnswerForm[Any]) -> dict[str, Any]:
    """Return the `response_format` that makes a server keep to the form."""
    schema = {"name": form.name, "strict": True, "schema": _schema_of(form)}
    return {"type": "json_schema", "json_schema": schema}


@cache
def _schema_of(form: AnswerForm[Any]) -> dict[str, Any]:
    return _strict(form.model.model_json_schema())


def _json_in(text: str, form: AnswerForm[Any]) -> list[str]:
    """Return what may be the answer's JSON, the most faithful reading first."""
    found = _readings(_between(text, "{", "}"))
    fields = form.model.model_fields
    if len(fields) == 1:
        [name] = fields
        found += [f'{{"{name}": {bare}}}' for bare in _readings(_between(text, "[", "]"))]
    return found


def _readings(raw: str) -> list[str]:
    plain = one_line(raw)  # JSON strings may hold no raw control characters
    tidy = re.sub(r",\s*([\]}])", r"\1", plain)
    return [reading for reading in dict.fromkeys((raw, plain, tidy)) if reading]


def _between(text: str, start: str, end: str) -> str:
    return text[text.find(start) : text.rfind(end) + 1] if start in text else ""


def _said_by(error: ValidationError) -> list[str]:
    """Return what a form's own rules say of JSON that has its shape."""
    words = []
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"] == "value_error":
            words.append(str(problem["ctx"]["error"]))
        elif problem["type"] == "too_short":
            words.append("the answer holds too little")
        else:
            return []
    return words


def _from_text(text: str, form: AnswerForm[A]) -> A | None:
    try:
        return form.from_text(text) if form.from_text else None
    except ValidationError:
        return None


# What OpenAI's strict mode and grammar-constrained servers all know; bounds are checked by us.
# Descriptions are left out: what a model is told stands in the prompt, and a docstring is ours.
_KEPT: Final = ("type", "enum", "const", "$ref")
_STRANGE: Final = ("oneOf", "allOf", "prefixItems", "patternProperties")


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON schema as strict mode wants it: every property required, no others allowed.

    Raises:
        TypeError: the form has parts that strict mode does not know.
    """
    if strange := [key for key in _STRANGE if key in schema]:
        raise TypeError(f"a form for answers cannot have {strange[0]} in its JSON schema")
    if isinstance(schema.get("additionalProperties"), dict):
        raise TypeError("a form for answers cannot have names that are not known beforehand")
    strict: dict[str, Any] = {key: schema[key] for key in _KEPT if key in schema}
    if "anyOf" in schema:
        strict["anyOf"] = [_strict(part) for part in schema["anyOf"]]
    if "items" in schema:
        strict["items"] = _strict(schema["items"])
    if "$defs" in schema:
        strict["$defs"] = {name: _strict(part) for name, part in schema["$defs"].items()}
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        strict["properties"] = {name: _strict(part) for name, part in properties.items()}
        strict["required"] = list(properties)
        strict["additionalProperties"] = False
    return strict
