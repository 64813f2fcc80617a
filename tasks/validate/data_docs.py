"""Great Expectations' Data Docs as one page that needs nothing from elsewhere.

The library's own pages ask content networks for their style and scripts, and put values into the
page as they stand. Here its tables stand in a page of ours, values escaped, and the page forbids
itself any script and any request.
"""

import copy
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from curette.schemas.validation import Check
from curette.tasks.validate.results import SuiteResult

_TEMPLATES = Path(__file__).parent / "templates"


def data_docs(results: Sequence[SuiteResult], checks: Sequence[Check]) -> str:
    """Return the page; equal results give equal pages."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    suites = [
        {"name": result.suite_name, "table": _table(result, number)}
        for number, result in enumerate(results, start=1)
    ]
    version = results[0].meta["great_expectations_version"]
    page = environment.get_template("data_docs.html")
    return page.render(suites=suites, checks=checks, version=version)


def _table(result: SuiteResult, number: int) -> str:
    """Return the library's own HTML table of one suite."""
    from great_expectations.render.renderer.content_block import (
        ValidationResultsTableContentBlockRenderer,
    )
    from great_expectations.render.view import DefaultJinjaComponentView

    rows = copy.deepcopy(result.results)
    for one in rows:
        config = one.expectation_config
        notes = [] if one.success else [("remedy", config.notes)]
        if config.severity == "warning":
            notes.insert(0, ("severity", "warning"))
        config.description = html.escape(config.description) + "".join(
            f'<small class="{kind}">{html.escape(note)}</small>' for kind, note in notes
        )
        if "unexpected_index_column_names" in one.result:  # shown where the list looks complete
            one.result["unexpected_index_list"] = one.result["partial_unexpected_index_list"]
        one.result = _escaped(one.result)
        one.exception_info = _escaped(one.exception_info)
    block = ValidationResultsTableContentBlockRenderer.render(rows, include_column_name=False)
    view = DefaultJinjaComponentView()
    view.env.filters["generate_html_element_uuid"] = lambda prefix: prefix  # equal pages
    return view.render({"content_block": block.to_json_dict(), "section_loop": {"index": number}})


def _escaped(value: Any) -> Any:
    """Return a structure with every text in it escaped for HTML."""
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value
