"""The forms that answers must have."""

import re

from pydantic import BaseModel, Field

from curette.tasks.methods.llm.asking import AnswerForm


class Concepts(BaseModel):
    """Statements about one class."""

    concepts: tuple[str, ...] = Field(min_length=1)


class Contrast(BaseModel):
    """Statements about each of two classes, where they differ."""

    first: tuple[str, ...]
    second: tuple[str, ...]


def _listed(text: str) -> Concepts | None:
    """Read a bulleted or numbered list, which models write that were told not to."""
    found = re.findall(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+(\S.*)$", text, flags=re.MULTILINE)
    return Concepts(concepts=tuple(found)) if len(found) >= 2 else None


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
