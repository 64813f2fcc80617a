"""Answers that hold one word for every item of a numbered list, and are none where one is missing.

A list of answers invites a model to leave some out: the form here has a required key for each item,
so that a server that keeps to schemas can give whole answers only, and half of one is asked again.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, Field, create_model, model_validator

from curette.tasks.methods.llm.reading import AnswerForm

_SHOWN: Final = 3  # numbers that are named in messages and written out in examples


class Each(BaseModel, frozen=True, extra="forbid"):
    """One word for every item; `each_form` makes the models that say how many and which words."""

    @model_validator(mode="before")
    @classmethod
    def _understand(cls, said: Any) -> dict[str, str]:
        items = list(cls.model_fields.values())
        names = [str(item.alias) for item in items]
        return _whole(_numbered(said, names), names, get_args(items[0].annotation))

    @property
    def words(self) -> dict[int, str]:
        """Return the word by the item's number, from 1."""
        return {int(number): word for number, word in self.model_dump(by_alias=True).items()}


@cache
def each_form(name: str, count: int, words: tuple[str, ...]) -> AnswerForm[Each]:
    """Return the form of answers with one of some words for each of `count` items.

    Servers that keep to no schema are understood too: a list of `{"number": 1, ...: "yes"}`, a bare
    list of as many words as items, true and false for yes and no, and lines such as `3. yes`.
    A number that is missing, unknown, or answered in two ways spoils the answer.

    Args:
        name: of the form; letters, digits, dashes and underscores.
        count: items.
        words: in lower case, such as `yes` and `no`.
    """
    fields: dict[str, Any] = {
        f"item_{n}": (Literal[words], Field(alias=str(n))) for n in range(1, count + 1)
    }
    model = create_model("EachItem", __base__=Each, **fields)
    spoken = sorted((*words, "true", "false"), key=len, reverse=True)
    line = re.compile(rf"^\W*(\d+)\W+({'|'.join(map(_loosely, spoken))})\b", re.MULTILINE)

    def from_text(text: str) -> Each | None:
        found = line.findall(text.casefold())
        pairs = [{"number": int(number), "word": word} for number, word in found]
        return model.model_validate(pairs) if pairs else None

    return AnswerForm(name=name, model=model, example=_example(count, words), from_text=from_text)


def _example(count: int, words: tuple[str, ...]) -> str:
    """Return a form to be filled in; copied as it stands it is no answer."""
    choice = " or ".join([", ".join(words[:-1]), words[-1]])
    shown = [f'"{n}": {json.dumps(choice)}' for n in range(1, min(count, _SHOWN) + 1)]
    if count > _SHOWN + 1:
        shown.append("...")
    if count > _SHOWN:
        shown.append(f'"{count}": {json.dumps(choice)}')
    return "{" + ", ".join(shown) + "}"


def _loosely(word: str) -> str:
    return word.replace(" ", "[ _-]")


def _numbered(said: Any, names: list[str]) -> Mapping[Any, Any]:
    """Return number -> what is said of it, from whatever shape a model gave it."""
    if isinstance(said, Each):
        return said.model_dump(by_alias=True)
    if isinstance(said, dict) and said.keys().isdisjoint(names) and len(said) == 1:
        [said] = said.values()  # {"answers": [...]}
    if isinstance(said, dict):
        return said
    if not isinstance(said, list):
        return {}
    if said and all(isinstance(entry, dict) for entry in said):
        found: dict[Any, Any] = {}
        for entry in said:
            number = next((entry[k] for k in ("number", "id", "item", "n") if k in entry), None)
            words = [value for key, value in entry.items() if value is not number]
            word = words[0] if len(words) == 1 else words
            key = str(number)
            found[key] = word if found.get(key, word) == word else [found[key], word]
        return found
    return dict(zip(names, said, strict=True)) if len(said) == len(names) else {}


def _whole(said: Mapping[Any, Any], names: list[str], words: tuple[str, ...]) -> dict[str, str]:
    """Return one of the words for every name.

    Raises:
        ValueError: says which are missing, unknown or not answered by one of the words.
    """
    given = {str(name).strip(): value for name, value in said.items()}
    if strange := [name for name in given if name not in names]:
        # Whatever else stands there may be words of a report, which no message repeats.
        numbers = [name for name in strange if name.isdecimal() and len(name) <= len(names[-1]) + 1]
        named = _some(numbers) if numbers else "what is no number of the list"
        raise ValueError(f"the answer names {named}, and there are 1 to {len(names)}")
    if missing := [name for name in names if given.get(name) is None]:
        raise ValueError(f"the answer leaves out {_some(missing)} of 1 to {len(names)}")
    found = {name: _word(given[name], words) for name in names}
    if unclear := [name for name, word in found.items() if word is None]:
        choice = ", ".join(words)
        raise ValueError(f"the answer on {_some(unclear)} is not one of: {choice}")
    return {name: word for name, word in found.items() if word is not None}


def _word(value: Any, words: tuple[str, ...]) -> str | None:
    """Return the word that a value plainly means; None where it means none or several."""
    if isinstance(value, dict):  # {"answer": "yes", "because": "..."}
        value = list(value.values())
    if isinstance(value, list):
        meant = {word for part in value if (word := _word(part, words))}
        return meant.pop() if len(meant) == 1 else None
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if not isinstance(value, str):
        return None
    plain = " ".join(re.findall(r"[a-z]+", value.casefold()))
    plain = {"true": "yes", "false": "no"}.get(plain, plain)
    return plain if plain in words else None


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
