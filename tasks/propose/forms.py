"""The forms that answers must have."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import BaseModel, Field, field_validator, model_validator

from curette.schemas.candidates import normal_form
from curette.tasks.methods.llm.reading import ECHO, AnswerForm

_FORMS_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """a about an and another answer class concept concepts description different etc example
        examples feature features fifth final first for fourth here image in insert item its last
        more my next of on one or other passage placeholder quote second sentence sentences several
        short some statement statements string text the third three two visual words write your""",
    )
)
_FEWEST_IN_A_LOOP: Final = 4
TOKENS_A_STATEMENT: Final = 12
"""Of a short English statement as a JSON string; measured on the recorded answers: 10 to 11."""


def is_placeholder(text: str) -> bool:
    """Return whether a text says nothing but what a form to be filled in says: `statement 3`."""
    words = re.findall(r"[^\W_]+", text.casefold())
    known = all(w in _FORMS_WORDS or w.isdecimal() or len(w) == 1 or _ORDINAL(w) for w in words)
    return known and any(len(word) > 3 for word in words)  # `a` and `no 1` may be anything


_ORDINAL: Final = re.compile(r"\d+(?:st|nd|rd|th)").fullmatch


def flatten(said: Any) -> list[str]:
    """Return the texts of a list, whatever groups they stand in; a group's name is none of them.

    Neither is a heading among the texts, such as `Colour:`. It becomes an empty text, as what is
    no text at all does, and is dropped later, with a reason.

    Raises:
        ValueError: texts stand beside others in an object, so that some would have to be guessed.
    """
    return list(_texts(said))


def _texts(said: Any) -> Iterator[str]:
    match said:
        case str():
            yield "" if said.rstrip(" *_#").endswith(":") else said
        case list() | tuple():
            for part in said:
                yield from _texts(part)
        case dict() if all(isinstance(part, list | dict) for part in said.values()):
            for part in said.values():
                yield from _texts(part)
        case dict():
            raise ValueError("the answer holds objects where the form has texts")
        case _:
            yield ""


def check_texts(texts: Sequence[str]) -> None:
    """Refuse texts that a model copied from the form, or said again and again.

    Raises:
        ValueError: says which.
    """
    said = [text for text in texts if normal_form(text)]
    if not said:
        raise ValueError("the answer holds too little")
    if 2 * sum(map(is_placeholder, said)) >= len(said):
        raise ValueError(ECHO)
    different = {re.sub(r"[\W\d_]+", " ", text.casefold()) for text in said}
    if len(said) >= _FEWEST_IN_A_LOOP and 4 * len(different) <= len(said):
        raise ValueError("the answer says the same again and again")


class _Statements(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _nothing_beside(cls, said: Any) -> Any:
        """Refuse further lists, which would be lost."""
        if isinstance(said, dict):
            beside = [k for k, v in said.items() if isinstance(v, list | dict)]
            if lost := [key for key in beside if key not in cls.model_fields]:
                raise ValueError(f"the form has no `{lost[0]}`")
        return said

    @field_validator("*", mode="before")
    @classmethod
    def _out_of_groups(cls, said: Any) -> Any:
        return flatten(said) if isinstance(said, list | dict) else said


class Concepts(_Statements):
    """Statements about one class."""

    concepts: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _says_something(self) -> "Concepts":
        check_texts(self.concepts)
        return self


class Contrast(_Statements):
    """Statements about each of two classes, where they differ."""

    first: tuple[str, ...]
    second: tuple[str, ...]

    @model_validator(mode="after")
    def _says_something(self) -> "Contrast":
        check_texts((*self.first, *self.second))
        return self


def _listed(text: str) -> Concepts | None:
    """Read a bulleted or numbered list, which models write that were told not to."""
    found = re.findall(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+(\S.*)$", text, flags=re.MULTILINE)
    return Concepts.model_validate({"concepts": found}) if len(found) >= 2 else None


CONCEPTS = AnswerForm(
    name="concepts",
    model=Concepts,
    example='{"concepts": ["first statement", "second statement"]}',
    from_text=_listed,
)
CONTRAST = AnswerForm(
    name="contrast",
    model=Contrast,
    example='{"first": ["a statement"], "second": ["a statement"]}',
)
