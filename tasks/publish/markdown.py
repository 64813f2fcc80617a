"""Markdown in which everything that came from elsewhere is text and nothing else."""

import html
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).parent / "templates"
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]|~#$!])")
_LIST_OR_RULE = re.compile(r"^(\d*)([-+=.)])(?=[-=\s]|$)")


class Markdown(str):
    """Text that is meant to be Markdown; any other text is escaped when it is rendered."""

    __slots__ = ()


def escape(value: object) -> str:
    """Return a text on one line whose every character stands for itself.

    Punctuation of CommonMark and of tables is escaped, HTML turned into entities, and addresses
    are kept from becoming links.
    """
    line = " ".join(str(value).split())
    escaped = _PUNCTUATION.sub(r"\\\1", html.escape(line, quote=False))
    escaped = _LIST_OR_RULE.sub(r"\1\\\2", escaped)
    return re.sub(r"(?i)(?<=:)//|(?<=www)\.", lambda m: f"&#{ord(m[0][0])};{m[0][1:]}", escaped)


def indented(text: str) -> Markdown:
    """Return a text as a block of code, which no text can end."""
    return Markdown("\n".join(f"    {line}" for line in text.strip().splitlines()))


def render(template: str, **values: object) -> str:
    """Fill a template in; whatever is not `Markdown` is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,  # noqa: S701 - `finalize` escapes, for Markdown
        finalize=lambda value: value if isinstance(value, Markdown) else escape(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)


def without_head(card: str) -> str:
    """Return a card without its YAML head."""
    return card.split("\n---\n", 1)[1].lstrip()
