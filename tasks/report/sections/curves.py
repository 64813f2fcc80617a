"""How far can heads' confidence be relied on, and what does leaving doubt to people buy?"""

from collections.abc import Sequence
from typing import Any

from curette.schemas.heads import EXPLAINED, REFERENCE, HeadKind, card_of
from curette.schemas.metrics import HeadMetricName
from curette.schemas.questions.curves import Calibration, HeadCurves
from curette.tasks.methods.page.charts import Line, Point, line_chart, reliability_chart
from curette.tasks.methods.page.numbers import plain
from curette.tasks.report.material import Draft
from curette.tasks.report.sections.metrics import metric_table

_CONFIDENCE: dict[HeadMetricName, tuple[str, str]] = {
    "expected_calibration_error": ("ECE", "↓"),
    "debiased_calibration_error": ("RMS calibration error", "↓"),
    "area_under_risk_coverage": ("AURC", "↓"),
    "excess_area_under_risk_coverage": ("excess AURC", "↓"),
}
_OPEN = (EXPLAINED, REFERENCE)
_LEAST_COVERED = 0.05  # below, one image is the whole of the share


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return tables and curves of confidence."""
    evaluation = draft.evaluation
    if evaluation is None:
        return None
    kinds = {h.facts.name: h.facts.kind for h in draft.material.probe.heads}
    shown = {name for name, kind in kinds.items() if kind in _OPEN}
    colours = {head: card_of(kind).colour for head, kind in kinds.items()}
    risks = [
        Line(
            c.head,
            colours[c.head],
            [Point(p.coverage, p.risk) for p in c.risk_coverage if p.coverage >= _LEAST_COVERED],
        )
        for c in evaluation.curves
    ]
    return {
        "meaning": _meaning(evaluation.curves, kinds),
        "table": metric_table(evaluation, _CONFIDENCE, lambda head: head in shown),
        "more": metric_table(evaluation, _CONFIDENCE, lambda head: head not in shown),
        "calibrations": [
            _calibration(c.head, c.calibration) | {"kind": kinds[c.head]} for c in evaluation.curves
        ],
        "validation_images": evaluation.curves[0].calibration.validation_images,
        "reliability": [
            {
                "head": c.head,
                "figure": reliability_chart(c.head, c.calibration.reliability, colours[c.head]),
            }
            for c in evaluation.curves
        ],
        "risk": line_chart(risks, "share of images answered", "share of wrong answers"),
        "kept": _kept(evaluation.curves),
    }


def _meaning(curves: Sequence[HeadCurves], kinds: dict[str, HeadKind]) -> str:
    """Say how far off the bottleneck's confidence is, and what doubt is worth."""
    curve = next(c for c in curves if kinds[c.head] == EXPLAINED)
    error = curve.calibration.error
    half = min(curve.risk_coverage, key=lambda point: abs(point.coverage - 0.5))
    said = f"On its surest half of the images the {curve.head} errs on {half.risk:.0%}, on all "
    said += f"of them on {curve.risk_coverage[-1].risk:.0%}"
    if error is None:
        return f"{said}."
    apart = f"{error:.3f} apart" if error >= 0.0005 else "apart by no more than chance"
    return f"{said}; how sure it says it is and how often it is right lie {apart}."


def _calibration(head: str, calibration: Calibration) -> dict[str, Any]:
    return {
        "head": head,
        "temperature": f"{calibration.temperature:.2f}",
        "at_bound": calibration.at_bound,
        "log_loss": plain(calibration.log_loss),
        "log_loss_after": plain(calibration.log_loss_after),
        "error": plain(calibration.error),
        "error_after": plain(calibration.error_after),
    }


def _kept(curves: Sequence[HeadCurves]) -> dict[str, Any]:
    """Return the share of wrong answers where a head answers the surest part of the images."""
    coverages = (0.5, 0.7, 0.9, 1.0)
    return {
        "coverages": [f"{c:.0%}" for c in coverages],
        "rows": [
            {
                "head": c.head,
                "risks": [
                    min(c.risk_coverage, key=lambda point: abs(point.coverage - wanted)).risk
                    for wanted in coverages
                ],
            }
            for c in curves
            if len(c.risk_coverage) > len(coverages)
        ],
    }
