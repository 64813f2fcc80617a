"""Figures are drawn by a library; what is ours is what they are drawn from and what is told."""

import csv
import io
import re
from itertools import pairwise

from curette.schemas.questions.curves import CurvePoint
from curette.tasks.methods.page.charts import (
    Line,
    Point,
    Row,
    interval_chart,
    line_chart,
    reliability_chart,
)

LINES = (
    Line("one", "#0f766e", [Point(1, 0.5, 0.4, 0.6), Point(2, 0.7, 0.6, 0.8)]),
    Line("<b>two</b>", "#1d4ed8", [Point(1, 0.25), Point(4, 1 / 3)], "dashed"),
)


def test_the_numbers_of_a_figure_are_those_it_was_drawn_from() -> None:
    chart = line_chart(LINES, "concepts", "accuracy")
    assert list(csv.reader(io.StringIO(chart.csv))) == [
        ["line", "concepts", "accuracy", "low", "high"],
        ["one", "1", "0.5", "0.4", "0.6"],
        ["one", "2", "0.7", "0.6", "0.8"],
        ["<b>two</b>", "1", "0.25", "", ""],
        ["<b>two</b>", "4", "0.333333", "", ""],
    ]


def test_the_same_numbers_are_the_same_drawing_to_the_byte_and_need_no_request() -> None:
    from curette.tasks.methods.page.charts import _drawn

    first = line_chart(LINES, "concepts", "accuracy", doublings=True, mark=2).svg
    _drawn.cache_clear()
    assert line_chart(LINES, "concepts", "accuracy", doublings=True, mark=2).svg == first
    assert not re.search(r"(?:href|src)=|url\(", first)
    assert set(re.findall(r"https?://[^\"]+", first)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_texts_are_never_markup() -> None:
    named = "</svg><script>alert(1)</script> datum.x {{ 1 }}"
    charts = (
        line_chart([Line(named, "#000000", [Point(named, 1.0)])] * 2, named, named),
        interval_chart([Row(named, "#000000", 0.5, 0.4, 0.6)], named),
        reliability_chart(named, [CurvePoint(confidence=0.5, accuracy=0.5, images=3)], "#000000"),
    )
    for chart in charts:
        assert "<script" not in chart.svg
        assert chart.svg.count("</svg>") == 1


def test_doublings_are_equally_wide() -> None:
    level = [Point(n, 0.5) for n in (1, 2, 4, 8)]
    chart = line_chart([Line("one", "#0f766e", level)], "n", "y", doublings=True)
    path = max(re.findall(r'd="(M[^"]+)"', chart.svg), key=lambda d: d.count("L"))
    places = [float(x) for x in re.findall(r"[ML]([\d.]+),", path)]
    steps = [b - a for a, b in pairwise(places)]
    assert len(steps) == 3
    assert max(steps) - min(steps) < 0.02
