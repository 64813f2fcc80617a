"""Placing the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader

from curette.tasks.methods.page.render import render

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(page: Mapping[str, Any], further: BaseLoader | None = None) -> str:
    """Return the HTML of `tasks.report.page.compose_page`'s page.

    Args:
        page: what the templates place.
        further: templates of sections that are not among ours.
    """
    return render("report.html.j2", [_TEMPLATES, *([further] if further else [])], page=page)
