"""The form gate: is this one whole statement?

It asks nothing about the meaning. What is no statement at all would only puzzle the gates behind
it: a sentence that was cut off, a list of several concepts, a question.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Literal

from pydantic import Field, model_validator

from curette.tasks.methods.wording.lexicon import APPEARANCE, STRUCTURE, Weight
from curette.tasks.methods.wording.phrases import Phrases
from curette.tasks.methods.wording.visible import truncation
from curette.tasks.methods.wording.words import fold, words
from curette.tasks.screen.gate import Candidates, Circumstances, Finding, Gate, Outcome, one_by_one


class Form(Gate, frozen=True):
    """The settings of the gate."""

    kind: Literal["form"] = "form"
    min_words: int = Field(default=1, ge=1, description="fewer are no statement")
    max_words: int = Field(default=16, ge=1, description="more are no short statement")
    min_characters: int = Field(default=3, ge=1, description="fewer are no statement")
    max_characters: int = Field(default=120, ge=1, description="more are no short statement")
    max_listed: int = Field(
        default=2, ge=1, description="structures that one statement may name side by side"
    )

    @model_validator(mode="after")
    def _sensible(self) -> "Form":
        if self.min_words > self.max_words or self.min_characters > self.max_characters:
            raise ValueError("a smallest length is above the largest")
        return self

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:  # noqa: ARG002
        """Drop what is no single statement."""
        return one_by_one(self.kind, left, lambda c: why_malformed(c.text, self))


def why_malformed(text: str, form: Form) -> Finding | None:
    """Return why a text is not one whole statement of the right length; None if it is."""
    return (
        _control_character(text)
        or _wrong_length(text, form)
        or _question(text)
        or _cut_off(text)
        or _list(text, form.max_listed)
    )


# --- the checks ----------------------------------------------------------------------------------


def _control_character(text: str) -> Finding | None:
    for character in text:
        if unicodedata.category(character)[0] == "C" or character == "\ufffd":
            code = f"U+{ord(character):04X}"
            return Finding(f"holds the control character {code}", {"character": code})
    return None


def _wrong_length(text: str, form: Form) -> Finding | None:
    length = {"words": len(text.split()), "characters": len(text)}
    for unit, low, high in (
        ("words", form.min_words, form.max_words),
        ("characters", form.min_characters, form.max_characters),
    ):
        if not low <= length[unit] <= high:
            return Finding(f"has {length[unit]} {unit}, not {low} to {high}", length)
    return None


_QUESTION = re.compile(
    r"(?:do|does|did|can|could) (?:the|this|these|it|its|they|any|you)\b"
    r"|(?:is|are) (?:there|this|these|it|they|any)\b"  # "is the size of a pea" asks nothing
    r"|(?:what|how|why) (?:\w+ )?(?:is|are|do|does|did|can|would|many|much)\b"
)


def _question(text: str) -> Finding | None:
    if "?" in text or _QUESTION.match(fold(text).strip()):
        return Finding("is a question, not a statement")
    return None


def _cut_off(text: str) -> Finding | None:
    found = truncation(text)
    return Finding(f"was cut off: '{found}'", {"words": [found]}) if found else None


def _list(text: str, max_listed: int) -> Finding | None:
    """Find several statements in one.

    Semicolons, line breaks and sentences part statements. Commas and "and" do where more than
    `max_listed` of the parts name a structure each: "scales, crusts and ulcers" is a list, and
    "red, blue or white spots" is not.
    """
    statements = [
        p for p in re.split(r";|\n|[.!] +(?=[A-Z])|\s(?:[•*]|\d+[.)])\s", text) if p.strip(" .")
    ]
    if len(statements) > 1:
        return Finding(
            f"is {len(statements)} statements in one", {"parts": [p.strip() for p in statements]}
        )
    parts = re.split(r",|/|\band\b|\bor\b|\bplus\b|&", fold(text))
    naming = [p.strip() for p in parts if _names_a_thing(words(p))]
    if len(naming) > max_listed:
        return Finding(f"lists {len(naming)} things in one", {"parts": naming})
    return None


_MODIFIER = re.compile(r"(?:ed|ous|al|ar|ic|ive|id|oid|ant|ary|y|iple)$")
_PLURAL = re.compile(r"[^su]s$")


def _names_a_thing(said: Sequence[str]) -> bool:
    """Return whether words end in a noun: "red dots" do, "multiple" and "round" do not."""
    hits = list(_visible().find(said))
    if not hits or not hits[-1].words.endswith(said[-1]):
        return False
    if hits[-1].meaning == "structure":
        return not _MODIFIER.search(said[-1])
    return _PLURAL.search(said[-1]) is not None


@cache
def _visible() -> Phrases[Weight]:
    seen = [c for c in (*APPEARANCE, *STRUCTURE) if c.name != "aspect"]
    return Phrases({pattern: c.weight for c in seen for pattern in c.patterns})
