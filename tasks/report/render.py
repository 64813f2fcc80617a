"""Placing the page: one HTML file, every text escaped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from curette.tasks.report.numbers import plain

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(page: Mapping[str, Any], further: BaseLoader | None = None) -> str:
    """Return the HTML of `tasks.report.page.compose_page`'s page.

    Everything is escaped but the charts, which escape their own texts, and our style sheet. The
    page's content security policy forbids scripts and every request.

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
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    template = environment.get_template("report.html.j2")
    return template.render(page=page, style=Markup(style)).lstrip()  # noqa: S704 - our own file
