"""Which texts of an answer are candidates, and why the others are none."""

import re
from collections.abc import Hashable, Sequence
from typing import Final

from curette.schemas.candidates import normal_form
from curette.tasks.methods.language import why_not_english
from curette.tasks.propose.forms import is_placeholder

_NUMBERED: Final = re.compile(r"^(?:\(?\d{1,3}[).:]|#\d{1,3}[).:]?)\s+|\s+[(#]?\d{1,3}\)?$")
"""A number at an end, by which a model tells repeats apart: `brown spots 2`."""
_LOOP: Final = re.compile(r"(?<!\w)(\w+(?:\W+\w+){0,5})(?:\W+\1){2}(?!\w)")


def why_unusable(statements: Sequence[tuple[str, Hashable]], asked: str) -> list[str]:
    """Return for each statement of an answer why it is no candidate; empty where it is one.

    Args:
        statements: each with what it is about; what is said again of that is none the second time.
        asked: the question, whose own words are no answer.
    """
    question = normal_form(asked)
    said: set[tuple[str, Hashable]] = set()
    found = []
    for text, about in statements:
        form = normal_form(text)
        this = _NUMBERED.sub("", form), about
        found.append(why_none(form, question) or _AGAIN * (this in said))
        said.add(this)
    return found


_AGAIN: Final = "said already in the same answer"


def why_none(text: str, question: str = "") -> str:
    """Return why a text by itself is no candidate; empty where it is one.

    Args:
        text: a statement.
        question: in normal form; empty where its words may be an answer.
    """
    form = normal_form(text)
    if not form:
        return "no words in it"
    if is_placeholder(form):
        return "a place-holder, as in the form asked for"
    if " " in form and re.search(rf"(?<!\w){re.escape(form)}(?!\w)", question):
        return "copied from the question"
    if _LOOP.search(form):
        return "the same words again and again"
    other = why_not_english(form)
    return f"in another language than the question: it {other.reason}" if other else ""
