"""Placing the page: one HTML file, every text escaped."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from curette.tasks.report.numbers import plain

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(page: Mapping[str, Any], further: BaseLoader | None = None) -> str:
    """Return the HTML of `tasks.report.page.compose_page`'s page.

    Everything is escaped but the charts, which escape their own texts, our style sheet and our
    script. The page's content security policy forbids every request and every other script.

    Args:
        page: what the templates place.
        further: templates of sections that are not among ours.
    """
    ours = FileSystemLoader(_TEMPLATES)
    environment = Environment(
        loader=ChoiceLoader([ours, further]) if further else ours,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    style, script = (
        (_TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("report.html.j2")
    return template.render(
        page=page,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_sha256=digest,
    ).lstrip()
