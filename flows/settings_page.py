"""Every key that a study may have, as a Markdown page: `python -m curette.flows.settings_page`."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from curette.schemas.settings.screen import GateSettings, gate_kinds
from curette.schemas.study import Study
from curette.tasks.stage import declared_stages

_INTRODUCTION = """# Settings

Every key of a study file, with its type, its default and what it means; `flows/studies/*.yaml` are
studies to start from. This page is written from the schemas:
`python -m curette.flows.settings_page` prints it.
"""
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def settings_page() -> str:
    """Return the page: one section a part of the study, one table a model in it."""
    sections = [_INTRODUCTION, *_table(Study, "")]
    told: set[type[BaseModel]] = set()
    for key, field in Study.model_fields.items():
        if models := list(_models(field.annotation)):
            sections.append(f"\n## `{key}`\n\n{_whole(_sentence(field))}{_read_by(key)}\n")
            for model in models:
                sections += _describe(model, key, len(models) > 1, told)
    return "\n".join(sections).rstrip() + "\n"


def _read_by(key: str) -> str:
    readers = [f"`{s.name}`" for s in declared_stages().values() if key in s.settings]
    return f" Given to {', '.join(readers)}." if readers else ""


def _describe(
    model: type[BaseModel], key: str, one_of_many: bool, told: set[type[BaseModel]]
) -> Iterator[str]:
    """Yield a model's table, and those of the models below it that were not told of before."""
    if model in told:
        return
    kind = model.model_fields.get("kind")
    name = (get_args(kind.annotation) or [kind.default])[0] if kind else ""
    told.add(model)
    if one_of_many or "." in key:
        which = f" of `kind: {name}`" if name else ""
        yield f"\n### `{key}`{which}\n\n{_doc(model)}\n"
    if set(model.model_fields) - {"kind"}:
        yield from _table(model, f"{key}.")
    for name, field in model.model_fields.items():
        below = list(_models(field.annotation))
        for other in below:
            yield from _describe(other, f"{key}.{name}", len(below) > 1, told)


def _table(model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in model.model_fields.items():
        if name == "kind":
            continue  # the heading has it
        cells = (
            f"`{prefix}{field.alias or name}`",
            _type(field),
            _default(field),
            _sentence(field),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{word} {value:,}"
        for limit in field.metadata
        for name, word in _BOUNDS.items()
        if isinstance(value := getattr(limit, name, None), int | float)
    ]
    return ", ".join([_words(field.annotation), *bounds])


def _words(annotation: Any) -> str:  # noqa: PLR0911 - one line a kind of type
    """Return what may stand there, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if annotation is NoneType:
        return "null"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_words, inner)))
    if origin is dict:
        return f"mapping to {_words(inner[1])}"
    if origin is tuple:
        return f"list of: {_words(inner[0])}" if inner[-1] is ... else "list"
    if origin is not None:  # Annotated
        return _words(inner[0])
    return "see below" if isinstance(annotation, type) else str(annotation)


def _default(field: FieldInfo) -> str:  # noqa: PLR0911 - one line a kind of value
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "null"
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, Sequence) and any(isinstance(v, GateSettings) for v in value):
        return ", ".join(f"`{gate.kind}`" for gate in value)
    if isinstance(value, str | Path):
        return f"`{value}`" if str(value) else "empty"
    if isinstance(value, Sequence | Mapping) and not value:
        return "none"
    return f"`{json.dumps(value, default=str)}`".replace('"', "")


def _sentence(field: FieldInfo) -> str:
    return re.sub(r"\s+", " ", field.description or "").strip()


def _whole(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _doc(model: type[BaseModel]) -> str:
    return re.sub(r"\s+", " ", (model.__doc__ or "").strip().partition("\n\n")[0])


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if annotation is GateSettings:
        yield from gate_kinds().values()
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


if __name__ == "__main__":
    print(settings_page(), end="")
