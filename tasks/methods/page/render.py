"""Placing a page: one HTML file, every text escaped."""

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from curette.tasks.methods.page.numbers import plain

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, templates: Sequence[Path | BaseLoader], **context: Any) -> str:
    """Return the HTML of a template that extends `frame.html.j2`.

    Everything is escaped but what a template calls safe, our style sheet and our script. The
    page's content security policy forbids every request and every other script.

    Args:
        template: its name.
        templates: folders of templates beside those that all pages share.
        context: what the templates place.
    """
    return (
        _environment(tuple(templates))
        .get_template(template)
        .render(
            **context,
            style=Markup(_ours("style.css")),  # noqa: S704 - our own file
            script=Markup(_ours("script.js")),  # noqa: S704 - our own file
            script_sha256=script_digest(),
        )
        .lstrip()
    )


@lru_cache(maxsize=8)
def _environment(templates: tuple[Path | BaseLoader, ...]) -> Environment:
    """Return what reads templates; kept, so that a served page compiles none twice."""
    loaders = [t if isinstance(t, BaseLoader) else FileSystemLoader(t) for t in templates]
    environment = Environment(
        loader=ChoiceLoader([*loaders, FileSystemLoader(_TEMPLATES)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment


def script_digest() -> str:
    """Return what names our script, and no other, in a content security policy."""
    return base64.b64encode(hashlib.sha256(_ours("script.js").encode()).digest()).decode()


def _ours(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
