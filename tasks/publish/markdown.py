"""Markdown in which everything that came from elsewhere is text and nothing else."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from curette.tasks.methods.markdown import escape

_TEMPLATES = Path(__file__).parent / "templates"


class Markdown(str):
    """Text that is meant to be Markdown; any other text is escaped when it is rendered."""

    __slots__ = ()


def indented(text: str) -> Markdown:
    """Return a text as a block of code, which no text can end."""
    return Markdown("\n".join(f"    {line}" for line in text.strip().splitlines()))


def render(template: str, **values: object) -> str:
    """Fill a template in; whatever is not `Markdown` is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    """Return what reads templates; kept, so that none is compiled twice."""
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,  # noqa: S701 - `finalize` escapes, for Markdown
        finalize=lambda value: value if isinstance(value, Markdown) else escape(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def without_head(card: str) -> str:
    """Return a card without its YAML head."""
    return card.split("\n---\n", 1)[1].lstrip()
