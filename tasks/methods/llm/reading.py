"""The form that an answer must have, and how an answer is read, however it is wrapped."""

import json
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
ECHO: Final = "the answer only repeats the form it was asked for"


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

    What a model thinks aloud between known marks is no answer. Of the JSON that stands in the rest
    (alone, fenced, after an introduction) the last that has the form counts, since drafts and the
    form's own example come before; trailing commas and raw control characters are forgiven, and
    so is a bare list where the form is an object of one list. Where there is no JSON at all,
    `form.from_text` reads. An answer that equals the form's example is none.

    Raises:
        Unusable: the model refused, was cut off, said nothing, or kept to no such form.
    """
    text, only_thoughts = _said_in(response)
    problems: list[str] = []
    for said in _json_in(text, form):
        try:
            answer = form.model.model_validate(said)
        except ValidationError as error:
            problems += _said_by(error)
            continue
        if answer != _example_of(form):
            return answer
        problems.append(ECHO)
    if form.from_text and not only_thoughts and not _JSON_BEGINS.search(text):
        try:
            found = form.from_text(text)
        except ValidationError as error:
            problems += _said_by(error)
        else:
            if found is not None:
                return found
    other = "the answer is empty but for thoughts" if only_thoughts else _NO_FORM
    raise Unusable(problems[0] if problems else other)


_NO_FORM: Final = "the answer is not in the form asked for"


def _said_in(response: LlmResponse) -> tuple[str, bool]:
    """Return what may hold the answer, and whether it is what the server took for thoughts.

    Some servers take a whole answer for thoughts; only JSON tells it from them.

    Raises:
        Unusable: there is nothing to be read.
    """
    if response.error:
        raise Unusable(response.error)
    if response.refusal or response.finish_reason == "content_filter":
        raise Unusable("the model refused to answer")
    if response.finish_reason == "length":
        raise Unusable(_cut_off(response))
    text, unclosed = without_thoughts(response.text)
    if text:
        return text, False
    if unclosed:
        raise Unusable("the answer is a thought that does not end")
    if not response.thoughts.strip():
        raise Unusable("the answer is empty")
    return response.thoughts, True


def _cut_off(response: LlmResponse) -> str:
    said = "the answer was cut off at its limit of tokens"
    if not response.token_limit:
        return said
    thoughts = f", {response.thought_tokens:,} of them thoughts" if response.thought_tokens else ""
    return f"{said} (llm.max_tokens, here {response.token_limit:,}{thoughts})"


def without_thoughts(text: str) -> tuple[str, bool]:
    """Return a text without what stands between marks of thoughts, and whether one never ends.

    A closing mark without an opening one ends a thought that began in the prompt's template.
    """
    said: list[str] = []
    start, inside = 0, False
    for mark in _THOUGHTS.finditer(text):
        if mark["opens"] is None:
            if not inside:
                said.clear()
            start, inside = mark.end(), False
        elif not inside:
            said.append(text[start : mark.start()])
            inside = True
    if not inside:
        said.append(text[start:])
    return "".join(said).strip(), inside


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


_NAMES: Final = (
    r"(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|seed:think|analysis"
    r"|inner_?monologue|chain_of_thought)"
)
_THOUGHTS: Final = re.compile(
    rf"(?P<opens><{_NAMES}(?:\s[^<>]{{0,200}})?>|\[THINK\]|◁think▷|<\|begin_of_thought\|>"
    r"|<\|channel\|>\s*(?:analysis|commentary)\b)"
    rf"|</{_NAMES}\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>"
    r"|<\|channel\|>\s*final\s*<\|message\|>",
    re.IGNORECASE,
)
"""Of open models: <think> and its like, Mistral's, Kimi's, and the channels of gpt-oss."""

_JSON_BEGINS: Final = re.compile(r"[{\[]\s*[\"{\[]")
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]]', re.DOTALL)
_CLOSING: Final = {"{": "}", "[": "]"}
_DEEPEST: Final = 50
_MOST_TOKENS: Final = 300_000  # that are looked at in one answer, however often it begins anew


def _json_in(text: str, form: AnswerForm[Any]) -> list[Any]:
    """Return what may be the answer, the likeliest first: objects before lists, late before early.

    A list inside an object is not looked at by itself, so that no part is taken for the whole;
    where the last object is broken, nothing before it is, which would be a draft.
    """
    values, broken = _values(text)
    values.reverse()
    fields = form.model.model_fields
    found: list[Any] = []
    for value in values:
        if isinstance(value, dict):
            inner = list(value.values())
            found.append(value)
            if len(inner) == 1 and isinstance(inner[0], dict) and fields.keys().isdisjoint(value):
                found.append(inner[0])  # {"answer": {...}}
    for value in values:
        if isinstance(value, list) and not broken:
            found.append(value)
            if len(value) == 1 and isinstance(value[0], dict):
                found.append(value[0])
            if len(fields) == 1:
                found.append({next(iter(fields)): value})
    return found


def _values(text: str) -> tuple[list[Any], bool]:
    """Return every whole JSON object and list of a text that stands in no other one.

    And whether some object is broken: then what follows may be its parts, and only that is
    returned.
    """
    found: list[Any] = []
    broken = False
    place, left = 0, _MOST_TOKENS
    while left > 0 and (begins := _BEGIN.search(text, place)):
        end, looked = _end_of(text, begins.start())
        left -= looked
        value = _parsed(text[begins.start() : end])
        if value is not None:
            found.append(value)
            place = end
            continue
        place = begins.end()
        if _OBJECT_BEGINS.match(text, begins.start()):
            found.clear()
            broken = True
    return found, broken


_BEGIN: Final = re.compile(r"[{\[]")
_OBJECT_BEGINS: Final = re.compile(r'\{\s*"')


def _parsed(raw: str) -> dict[str, Any] | list[Any] | None:
    """Return the JSON object or list that a text is, somewhat tidied; None where it is none."""
    for reading in _readings(raw):
        try:
            value = json.loads(reading, object_pairs_hook=_together)
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, dict | list) else None
    return None


def _end_of(text: str, start: int) -> tuple[int, int]:
    """Return where the brackets that open at `start` are closed, and how many tokens that took.

    Where they are not, `start` itself.
    """
    open_ones: list[str] = []
    looked = 0
    for looked, token in enumerate(_TOKEN.finditer(text, start), start=1):
        mark = token[0]
        if mark in _CLOSING:
            open_ones.append(_CLOSING[mark])
            if len(open_ones) > _DEEPEST:
                break
        elif mark in ("}", "]"):
            if open_ones.pop() != mark:
                break
            if not open_ones:
                return token.end(), looked
    return start, looked


def _readings(raw: str) -> list[str]:
    plain = one_line(raw)  # JSON strings may hold no raw control characters
    tidy = re.sub(r",\s*([\]}])", r"\1", plain)
    return [reading for reading in dict.fromkeys((raw, plain, tidy)) if reading]


def _together(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; what stands under a key twice is put together, so that no part is lost."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        before = made.get(key, value)
        if before == value:
            made[key] = value
        elif isinstance(before, list) and isinstance(value, list):
            made[key] = before + value
        else:
            made[key] = [before, value]
    return made


@cache
def _example_of(form: AnswerForm[A]) -> A | None:
    try:
        return form.model.model_validate_json(form.example)
    except ValidationError:
        return None


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
