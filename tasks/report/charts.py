"""Small SVG charts, drawn by hand so that the page needs no script and no font."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from markupsafe import Markup, escape

from curette.schemas.evaluation import (
    CurvePoint,
    InterventionCurve,
    InterventionOrder,
    Metric,
    RiskPoint,
)
from curette.schemas.heads import card_of
from curette.schemas.probe import TrainingStep

ORDER_COLOURS: dict[InterventionOrder, str] = {
    "most uncertain first": "#0f766e",
    "most weighted first": "#b45309",
    "random": "#94a3a0",
}


def forest_plot(metrics: Sequence[Metric], label: str, width: float = 900) -> Markup:
    """Draw one value with its interval a row, on a common axis.

    Args:
        metrics: the rows, top to bottom.
        label: what the axis measures.
        width: in pixels.
    """
    left, row_height = 210, 30
    low = max(0.0, min(m.low for m in metrics) - 0.05)
    high = min(1.0, max(m.high for m in metrics) + 0.05)
    axis = Axis(low, high if high > low else low + 1, left, width - 70)
    bottom = row_height * len(metrics) + 8
    parts = [
        f'<line x1="{axis.at(t):.1f}" y1="0" x2="{axis.at(t):.1f}" y2="{bottom}" class="grid"/>'
        f'<text x="{axis.at(t):.1f}" y="{bottom + 16}" text-anchor="middle">{t:g}</text>'
        for t in axis.ticks()
    ]
    for i, m in enumerate(metrics):
        y = row_height * i + row_height / 2
        colour = card_of(m.head_kind).colour
        parts.append(
            f'<text class="name" x="{left - 14}" y="{y + 4}" text-anchor="end">'
            f"{escape(m.head)}</text>"
            f'<line x1="{axis.at(m.low):.1f}" y1="{y}" x2="{axis.at(m.high):.1f}" y2="{y}" '
            f'stroke="{colour}" stroke-width="3" stroke-linecap="round" opacity=".45"/>'
            f'<circle cx="{axis.at(m.value):.1f}" cy="{y}" r="5.5" fill="{colour}"/>'
            f'<text x="{axis.at(m.high) + 10:.1f}" y="{y + 4}">{m.value:.3f}</text>'
        )
    parts.append(
        f'<text x="{(left + width - 70) / 2:.0f}" y="{bottom + 34}" text-anchor="middle">'
        f"{escape(label)}</text>"
    )
    return svg_of(width, bottom + 42, parts)


def reliability_diagram(points: Sequence[CurvePoint], colour: str) -> Markup:
    """Draw how often a head is right against how sure it says it is; the diagonal is honest."""
    size, pad = 300, 38
    x, y = Axis(0, 1, pad, size - 10), Axis(0, 1, size - pad, 10)
    parts = [*_frame(x, y, size, pad, "said", "was right")]
    parts.append(
        f'<line x1="{x.at(0)}" y1="{y.at(0)}" x2="{x.at(1)}" y2="{y.at(1)}" '
        'stroke="#8a9895" stroke-dasharray="4 4"/>'
    )
    largest = max((p.images for p in points), default=1)
    filled = [p for p in points if p.images]
    parts += [
        f'<circle cx="{x.at(p.confidence):.1f}" cy="{y.at(p.accuracy):.1f}" '
        f'r="{3 + 7 * (p.images / largest) ** 0.5:.1f}" fill="{colour}" opacity=".75">'
        f"<title>{p.images} images: said {p.confidence:.2f}, right {p.accuracy:.2f}</title>"
        "</circle>"
        for p in filled
    ]
    return svg_of(size, size, parts)


def risk_coverage_chart(heads: Sequence[tuple[str, str, Sequence[RiskPoint]]]) -> Markup:
    """Draw the share of wrong answers against the share of images answered, surest first.

    Args:
        heads: name, colour and curve of each head.
    """
    width, height, pad, legend = 560, 300, 44, 170
    right = width - legend
    highest = max(
        (p.risk for _, _, points in heads for p in points if p.coverage > 0.05), default=1
    )
    x, y = Axis(0, 1, pad, right), Axis(0, highest or 1, height - pad, 12)
    parts = [*_frame(x, y, height, pad, "share of images answered", "wrong answers")]
    for row, (name, colour, points) in enumerate(heads):
        line = " ".join(f"{x.at(p.coverage):.1f},{max(y.at(p.risk), y.end_px):.1f}" for p in points)
        dot = points[-1]
        at = 22 + 20 * row
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{x.at(dot.coverage):.1f}" cy="{y.at(dot.risk):.1f}" r="3.5" '
            f'fill="{colour}"/>'
            f'<circle cx="{right + 22}" cy="{at - 4}" r="4" fill="{colour}"/>'
            f'<text class="name" x="{right + 34}" y="{at}">{escape(name)}</text>'
        )
    return svg_of(width, height, parts)


def nec_chart(families: Sequence[tuple[str, str, Sequence[Metric]]], label: str) -> Markup:
    """Draw a metric with its intervals against the number of effective concepts.

    Args:
        families: name, colour and metrics of each family of heads.
        label: what the vertical axis measures.
    """
    width, height, pad, legend = 560, 300, 44, 170
    right = width - legend
    metrics = [m for _, _, family in families for m in family]
    x = Axis(0, max(m.nec for m in metrics) * 1.05, pad, right)
    y = Axis(min(m.low for m in metrics), max(m.high for m in metrics), height - pad, 12)
    parts = [*_frame(x, y, height, pad, "effective concepts a class", label)]
    for row, (name, colour, family) in enumerate(families):
        ordered = sorted(family, key=lambda m: m.nec)
        places = [(x.at(m.nec) + 4 * row, m) for m in ordered]  # so that intervals stand apart
        line = " ".join(f"{at_x:.1f},{y.at(m.value):.1f}" for at_x, m in places)
        at = 22 + 20 * row
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{right + 22}" cy="{at - 4}" r="4" fill="{colour}"/>'
            f'<text class="name" x="{right + 34}" y="{at}">{escape(name)}</text>'
        )
        parts += [
            f'<line x1="{at_x:.1f}" y1="{y.at(m.low):.1f}" x2="{at_x:.1f}" '
            f'y2="{y.at(m.high):.1f}" stroke="{colour}" stroke-width="3" opacity=".35"/>'
            f'<circle cx="{at_x:.1f}" cy="{y.at(m.value):.1f}" r="4" fill="{colour}"/>'
            for at_x, m in places
        ]
    return svg_of(width, height, parts)


@dataclass(frozen=True)
class Band:
    """A line with a band about it."""

    name: str
    colour: str
    points: tuple[tuple[int, float, float, float], ...]
    """Number, value, low and high end of the band."""


def budget_chart(bands: Sequence[Band], chosen: int, black_box: float | None) -> Markup:
    """Draw balanced accuracy over the number of concepts, each doubling as wide as the other.

    Args:
        bands: a line each, the first on top.
        chosen: the number that is marked.
        black_box: the value of a dashed line; None: there is none.
    """
    width, height, pad, legend = 760, 300, 44, 250
    right = width - legend
    points = [point for band in bands for point in band.points]
    numbers = sorted({number for number, *_ in points})
    ends = [*(low for _, _, low, _ in points), *(high for *_, high in points), black_box or 1.0]
    x = Axis(log2(numbers[0]), log2(numbers[-1]), pad, right)
    y = Axis(min(ends), max(ends), height - pad, 12)
    frame = _frame(Axis(0, 0, pad, right), y, height, pad, "concepts", "balanced accuracy")
    parts = [part for part in frame if 'text-anchor="middle">0<' not in part]
    parts += [
        f'<text x="{x.at(log2(n)):.1f}" y="{height - pad + 16}" text-anchor="middle">{n}</text>'
        for n in numbers
    ]
    parts.append(
        f'<line x1="{x.at(log2(chosen)):.1f}" y1="12" x2="{x.at(log2(chosen)):.1f}" '
        f'y2="{height - pad}" class="grid"/>'
    )
    for row, band in reversed(list(enumerate(bands))):
        places = [(x.at(log2(n)), *map(y.at, rest)) for n, *rest in band.points]
        line = " ".join(f"{at:.1f},{value:.1f}" for at, value, _, _ in places)
        upper = [f"{at:.1f},{high:.1f}" for at, _, _, high in places]
        lower = [f"{at:.1f},{low:.1f}" for at, _, low, _ in reversed(places)]
        parts.append(
            f'<polygon points="{" ".join([*upper, *lower])}" fill="{band.colour}" opacity=".12"/>'
            f'<polyline points="{line}" fill="none" stroke="{band.colour}" stroke-width="2"/>'
            f'<circle cx="{right + 22}" cy="{18 + 20 * row}" r="4" fill="{band.colour}"/>'
            f'<text class="name" x="{right + 34}" y="{22 + 20 * row}">{escape(band.name)}</text>'
        )
    if black_box is not None:
        at = 22 + 20 * len(bands)
        parts.append(
            f'<line x1="{pad}" y1="{y.at(black_box):.1f}" x2="{right}" y2="{y.at(black_box):.1f}" '
            'stroke="#1d4ed8" stroke-dasharray="5 4"/>'
            f'<line x1="{right + 16}" y1="{at - 4}" x2="{right + 28}" y2="{at - 4}" '
            'stroke="#1d4ed8" stroke-dasharray="5 4"/>'
            f'<text class="name" x="{right + 34}" y="{at}">linear probe</text>'
        )
    return svg_of(width, height, parts)


def intervention_chart(curves: Sequence[InterventionCurve]) -> Markup:
    """Draw a head's accuracy over the concepts that were looked at, one line an order.

    The band is the interval of the first; those of the others would hide it.

    Args:
        curves: of one head.
    """
    width, height, pad = 420, 300, 44
    values = [p.value for c in curves for p in c.accuracy]
    band = curves[0].accuracy
    x = Axis(0, max(len(c.accuracy) for c in curves) - 1, pad, width - 12)
    low, high = min(p.low for p in band), max(p.high for p in band)
    y = Axis(min(low, *values), max(high, *values), height - pad, 12)
    upper = [f"{x.at(i):.1f},{y.at(p.high):.1f}" for i, p in enumerate(band)]
    lower = [f"{x.at(i):.1f},{y.at(p.low):.1f}" for i, p in enumerate(band)]
    parts = [
        *_frame(x, y, height, pad, "concepts looked at in each image", "accuracy"),
        f'<polygon points="{" ".join([*upper, *reversed(lower)])}" '
        f'fill="{ORDER_COLOURS[curves[0].order]}" opacity=".08"/>',
    ]
    for row, curve in enumerate(curves):
        colour = ORDER_COLOURS[curve.order]
        line = " ".join(f"{x.at(i):.1f},{y.at(p.value):.1f}" for i, p in enumerate(curve.accuracy))
        at = height - pad - 14 - 18 * (len(curves) - 1 - row)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" '
            f'stroke-width="2"/><circle cx="{width - 170}" cy="{at - 4}" r="4" fill="{colour}"/>'
            f'<text class="name" x="{width - 158}" y="{at}">{escape(curve.order)}</text>'
        )
    return svg_of(width, height, parts)


def training_curve(steps: Sequence[TrainingStep], x_label: str, colour: str) -> Markup:
    """Draw training (dashed) and validation loss (solid) along a path or over epochs."""
    width, height, pad = 420, 300, 44
    losses = [v for s in steps for v in (s.train_loss, s.validation_loss)]
    x = Axis(min(s.x for s in steps), max(s.x for s in steps) or 1, pad, width - 12)
    y = Axis(min(losses), max(losses), height - pad, 12)
    train = " ".join(f"{x.at(s.x):.1f},{y.at(s.train_loss):.1f}" for s in steps)
    validation = " ".join(f"{x.at(s.x):.1f},{y.at(s.validation_loss):.1f}" for s in steps)
    parts = [
        *_frame(x, y, height, pad, x_label, "loss"),
        f'<polyline points="{train}" fill="none" stroke="{colour}" stroke-dasharray="5 4"/>',
        f'<polyline points="{validation}" fill="none" stroke="{colour}" stroke-width="2"/>',
    ]
    return svg_of(width, height, parts)


def sparkline(points: Sequence[tuple[float, float]], label: str, colour: str = "#0f766e") -> Markup:
    """Draw a rising curve from the origin, a word's height tall; its numbers stand beside it."""
    width, height, pad = 150, 34, 4
    x = Axis(0, max((p[0] for p in points), default=1), pad, width - pad)
    y = Axis(0, max((p[1] for p in points), default=1), height - pad, pad)
    line = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in [(0.0, 0.0), *points])
    dots = "".join(
        f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="2" fill="{colour}"/>' for a, b in points
    )
    parts = [
        f"<title>{escape(label)}</title>",
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}',
    ]
    return svg_of(width, height, parts)


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to pixels."""

    low: float
    high: float
    start_px: float
    end_px: float

    def at(self, value: float) -> float:
        """Return where a value lies."""
        share = (value - self.low) / ((self.high - self.low) or 1)
        return self.start_px + share * (self.end_px - self.start_px)

    def ticks(self) -> list[float]:
        """Return 4 to 8 round numbers within the axis."""
        span = (self.high - self.low) or 1
        step = next(
            s * 10.0**e for e in range(-6, 12) for s in (1, 2, 5) if span / (s * 10.0**e) <= 7
        )
        first = -(-self.low // step)
        return [round(step * (first + i), 10) for i in range(9) if step * (first + i) <= self.high]


def _frame(x: Axis, y: Axis, height: float, pad: float, x_label: str, y_label: str) -> list[str]:
    """Draw grid lines with their numbers, and the names of both axes."""
    parts = []
    for t in x.ticks():
        parts.append(
            f'<text x="{x.at(t):.1f}" y="{height - pad + 16}" text-anchor="middle">{t:g}</text>'
        )
    for t in y.ticks():
        parts.append(
            f'<line x1="{x.start_px}" y1="{y.at(t):.1f}" x2="{x.end_px}" y2="{y.at(t):.1f}" '
            'class="grid"/>'
            f'<text x="{x.start_px - 6}" y="{y.at(t) + 4:.1f}" text-anchor="end">{t:g}</text>'
        )
    middle = (x.start_px + x.end_px) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{height - 4}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text x="{x.start_px + 4}" y="{y.end_px + 4}">{escape(y_label)}</text>'
    )
    return parts


def svg_of(width: float, height: float, parts: Sequence[str]) -> Markup:
    """Return the drawing; every text in its parts must have been escaped where it was put in."""
    body = "".join(parts)
    return Markup(  # noqa: S704 - see above
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">{body}</svg>'
    )
