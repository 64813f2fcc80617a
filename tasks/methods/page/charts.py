"""The report's figures: Vega-Lite specifications, drawn as SVG, and the numbers under each.

Every figure is one of three kinds: lines over a number, values with their intervals a row, and how
often a head is right against how sure it says it is. Texts are data of a specification, which
Vega escapes; nothing of them is ever part of an expression.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

from markupsafe import Markup

from curette.schemas.questions.curves import CurvePoint

Stroke = Literal["whole", "dashed", "dotted"]
_DASHES: dict[Stroke, list[int]] = {"whole": [1, 0], "dashed": [7, 4], "dotted": [2, 4]}
_VEGA_LITE = "6.1"
_WIDER = 40  # pixels: by how much a reader's font may be wider than the one that was measured
_DOTTED = 200  # points; more would hide their lines
_INK, _SOFT, _GRID = "#16211f", "#4d5c59", "#d8e1df"
_CONFIG = {
    "background": None,
    "aria": False,  # the figure has a text of its own, and its numbers under it
    "mark": {"aria": False},
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": _GRID,
        "labelColor": _SOFT,
        "labelFontSize": 12,
        "labelPadding": 6,
        "titleColor": _SOFT,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": _INK, "labelFontSize": 12, "labelLimit": 260, "rowPadding": 5},
}


@dataclass(frozen=True)
class Figure:
    """A drawing and what it was drawn from."""

    svg: Markup
    label: str
    """What it shows, for whoever does not see it."""
    csv: str


@dataclass(frozen=True)
class Point:
    """A value with its interval, where it has one, at a number or at a name."""

    x: float | str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """Points that are joined, with a band where they have intervals."""

    name: str
    colour: str
    points: Sequence[Point]
    stroke: Stroke = "whole"


@dataclass(frozen=True)
class Row:
    """A value with its interval; of two in one row the second is hollow."""

    name: str
    colour: str
    value: float
    low: float
    high: float
    of: str = ""
    """Which of the two it is."""


def line_chart(
    lines: Sequence[Line],
    x: str,
    y: str,
    *,
    width: int = 520,
    height: int = 260,
    doublings: bool = False,
    mark: float | None = None,
) -> Figure:
    """Draw lines over a number, or over names in the order of the first line's.

    Args:
        lines: the first is on top, and stands first in the legend.
        x: what the horizontal axis tells.
        y: what the vertical axis tells.
        width: of the plot, in pixels.
        height: of the plot, in pixels.
        doublings: each doubling is as wide as the next; the numbers that have points are named.
        mark: where a line stands upright.
    """
    rows: list[dict[str, Any]] = [
        {"line": line.name, "stroke": line.stroke, **asdict(p)}
        for line in lines
        for p in line.points
    ]
    places = sorted({row["x"] for row in rows})
    named = any(isinstance(at, str) for at in places)
    across = _numbers("x", x, nice=False)
    if named:
        order = list(dict.fromkeys(p.x for line in lines for p in line.points))
        across = across | {"type": "ordinal", "sort": order, "axis": {"labelAngle": 0}}
        del across["scale"]
    elif doublings:
        axis = {"values": places, "format": ",d"}
        across = _numbers("x", x, type="log", nice=False) | {"axis": axis}
    colour = {
        "field": "line",
        "type": "nominal",
        "sort": None,
        "title": None,
        "scale": {"domain": [x.name for x in lines], "range": [x.colour for x in lines]},
        "legend": {"symbolType": "circle", "symbolOpacity": 1} if len(lines) > 1 else None,
    }
    dash = {
        "field": "stroke",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": list(_DASHES), "range": list(_DASHES.values())},
    }
    band = {
        "mark": {"type": "area", "opacity": 0.4 / (2 + len(lines))},
        "transform": [{"filter": {"field": "low", "valid": True}}],
        "encoding": {"y": _numbers("low", y), "y2": {"field": "high"}},
    }
    middle = {
        "mark": {
            "type": "line",
            "strokeWidth": 2,
            "point": {"size": 26} if len(rows) < _DOTTED else False,
        },
        "encoding": {"y": _numbers("value", y), "strokeDash": dash},
    }
    banded = any(row["low"] is not None for row in rows)
    layers: list[dict[str, Any]] = [band, middle] if banded else [middle]
    if mark is not None:
        layers.insert(
            0,
            {
                "data": {"values": [{"x": mark}]},
                "mark": {"type": "rule", "color": _SOFT, "strokeDash": [2, 3]},
                "encoding": {"color": {"value": _SOFT}},
            },
        )
    spec = {
        "width": width,
        "height": height,
        "encoding": {"x": across, "color": colour},
        "layer": layers,
    }
    told = [
        {"line": r["line"], x: r["x"], y: r["value"], "low": r["low"], "high": r["high"]}
        for r in rows
    ]
    return _figure(spec, rows, told, f"{y} over {x}: {', '.join(line.name for line in lines)}")


def interval_chart(rows: Sequence[Row], x: str, *, width: int = 520) -> Figure:
    """Draw one value with its interval a row, or two, on a common axis.

    Args:
        rows: top to bottom; those of one name share a row.
        x: what the axis tells.
        width: of the plot, in pixels.
    """
    values = [asdict(row) for row in rows]
    names = list(dict.fromkeys(r.name for r in rows))
    kinds = list(dict.fromkeys(r.of for r in rows))
    colours = {r.name: r.colour for r in rows}
    encoding: dict[str, Any] = {
        "y": {
            "field": "name",
            "type": "nominal",
            "sort": names,
            "title": None,
            "axis": {"labelColor": _INK, "labelLimit": 260, "grid": False},
        },
        "color": {
            "field": "name",
            "type": "nominal",
            "legend": None,
            "scale": {"domain": names, "range": list(colours.values())},
        },
    }
    filled: dict[str, Any] = {"value": 1}
    if len(kinds) > 1:
        encoding["yOffset"] = {"field": "of", "type": "nominal", "sort": kinds}
        filled = {
            "field": "of",
            "type": "nominal",
            "title": None,
            "scale": {"domain": kinds, "range": [1, 0]},
            "legend": {"orient": "top", "symbolFillColor": _SOFT, "symbolStrokeColor": _SOFT},
        }
    spec = {
        "width": width,
        "height": {"step": 30 if len(kinds) == 1 else 18},
        "encoding": encoding,
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "strokeCap": "round", "opacity": 0.4},
                "encoding": {"x": _numbers("low", x), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "size": 80, "strokeWidth": 2, "opacity": 1},
                "encoding": {
                    "x": _numbers("value", x),
                    "fill": encoding["color"],
                    "fillOpacity": filled,
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 8, "fontSize": 12},
                "encoding": {
                    "x": _numbers("high", x),
                    "text": {"field": "value", "format": ".3f"},
                    "color": {"value": _SOFT},
                },
            },
        ],
    }
    return _figure(spec, values, values, f"{x} of {', '.join(names)}, with intervals")


def reliability_chart(head: str, points: Sequence[CurvePoint], colour: str) -> Figure:
    """Draw how often a head is right against how sure it says it is; the diagonal is honest."""
    rows = [
        {"said": p.confidence, "was right": p.accuracy, "images": p.images}
        for p in points
        if p.images
    ]
    most = max(row["images"] for row in rows)
    ends = [0, 1]
    spec = {
        "width": 220,
        "height": 220,
        "encoding": {
            "x": _numbers("said", "said", domain=ends),
            "y": _numbers("was right", "was right", domain=ends),
        },
        "layer": [
            {
                "data": {"values": [{"said": 0, "was right": 0}, {"said": 1, "was right": 1}]},
                "mark": {"type": "line", "color": _SOFT, "strokeDash": [4, 4], "strokeWidth": 1},
            },
            {
                "mark": {"type": "circle", "color": colour, "opacity": 0.75},
                "encoding": {
                    "size": {
                        "field": "images",
                        "type": "quantitative",
                        "legend": None,
                        "scale": {"domain": [0, most], "range": [20, 260]},
                    }
                },
            },
        ],
    }
    return _figure(spec, rows, rows, f"how often {head} was right against how sure it said it was")


def _numbers(field: str, title: str, **scale: Any) -> dict[str, Any]:
    """Return an axis of numbers, which need not begin at zero."""
    kind = "quantitative"
    return {"field": field, "type": kind, "title": title, "scale": {"zero": False} | scale}


def _figure(
    spec: Mapping[str, Any],
    values: Sequence[Mapping[str, Any]],
    told: Sequence[Mapping[str, Any]],
    label: str,
) -> Figure:
    room = {"left": _WIDER, "right": _WIDER, "top": 5, "bottom": 5}
    whole = {"data": {"values": values}, "config": _CONFIG, "padding": room, **spec}
    text = io.StringIO()
    writer = csv.DictWriter(text, list(told[0]), lineterminator="\n")
    writer.writeheader()
    for row in told:
        writer.writerow({k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()})
    return Figure(Markup(_drawn(json.dumps(whole))), label, text.getvalue())  # noqa: S704 - Vega's


@lru_cache(maxsize=64)
def _drawn(spec: str) -> str:
    import vl_convert  # it starts a JavaScript engine, which only a report needs

    return str(vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE, allowed_base_urls=[]))
