"""What the page says of the heads: what they are worth, where that holds, and what they dispute."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from curette.schemas.evaluation import (
    Calibration,
    Difference,
    DisagreeingImage,
    Disagreement,
    Evaluation,
    GuardedEvaluation,
    HeadCurves,
    HeadMetricName,
    Metric,
    SubgroupMetric,
    WorstSubgroup,
    tell_looks,
)
from curette.schemas.heads import EXPLAINED, REFERENCE, HeadKind, card_of
from curette.schemas.images import ClassLabel
from curette.schemas.probe import HeadFacts
from curette.schemas.settings.evaluate import Answer
from curette.tasks.report.charts import (
    forest_plot,
    nec_chart,
    reliability_diagram,
    risk_coverage_chart,
)
from curette.tasks.report.pictures import PictureBook

_Names = dict[str, str]  # class key -> name

_WORTH: dict[HeadMetricName, tuple[str, str]] = {
    "balanced_accuracy": ("balanced accuracy", "↑"),
    "accuracy": ("accuracy", "↑"),
    "macro_f1": ("macro F1", "↑"),
    "macro_auroc": ("macro AUROC", "↑"),
}
_CONFIDENCE: dict[HeadMetricName, tuple[str, str]] = {
    "expected_calibration_error": ("ECE", "↓"),
    "debiased_calibration_error": ("RMS calibration error", "↓"),
    "area_under_risk_coverage": ("AURC", "↓"),
    "excess_area_under_risk_coverage": ("excess AURC", "↓"),
}
_LABELS = {name: label for name, (label, _) in (_WORTH | _CONFIDENCE).items()}
_OPEN = (EXPLAINED, REFERENCE)
_COVERS: dict[Answer, str] = {
    "yes": "By the study's own word that covers these test images: the encoder may have seen them, "
    "so the numbers here may be too good.",
    "no": "By the study's own word that covers none of these test images.",
    "unknown": "Whether that covers these test images the study does not know.",
}


def evaluation_section(
    evaluation: Evaluation,
    facts: Sequence[HeadFacts],
    classes: Sequence[ClassLabel],
    units: str,
    book: PictureBook,
) -> dict[str, Any]:
    """Return what was measured on the test split; `units` says what was resampled."""
    names = {c.key: c.name for c in classes}
    kinds = {f.name: f.kind for f in facts}
    at_nec = _at_nec(evaluation.metrics)
    main = [m for m in evaluation.metrics if m.name == "balanced_accuracy" and m.head not in at_nec]
    return {
        "results_note": "Test split, whose labels the evaluation alone reads: "
        f"{evaluation.images:,} images. Intervals are {evaluation.confidence:.0%}, "
        f"{evaluation.interval} bootstrap, {evaluation.resamples:,} resamples of "
        f"{evaluation.groups:,} {units}. A bottleneck that is no better than one of concepts "
        "drawn at random from the same candidates owes nothing to their selection.",
        "caveats": _caveats(evaluation),
        "forest": forest_plot(main, "balanced accuracy on the test split"),
        "interval": evaluation.interval,
        "worth": _table(evaluation, _WORTH, facts, lambda head: head not in at_nec),
        "sparse": _sparse(evaluation, facts, at_nec) if at_nec else None,
        "differences": _differences(evaluation.differences),
        "confidence": _confidence(evaluation, kinds),
        "subgroups": _subgroups(evaluation),
        "dispute": _dispute(evaluation.disagreement, names, book),
        "confusions": _opened_first(
            [_confusion(c, kinds, list(names.values())) for c in evaluation.curves]
        ),
    }


def guarded_section(evaluation: GuardedEvaluation) -> dict[str, Any]:
    """Return what the reusable holdout tells; everything else about the test images is withheld."""
    settings = evaluation.settings
    origin = {
        "validation": "validation images: the test agrees",
        "test": "test images, with noise: they differ",
        "refused": "the budget is spent",
    }
    return {
        "guarded": {
            "note": "The test labels were asked through a reusable holdout (Dwork et al., 2015), "
            "which makes it hard to fit to them what is chosen by its answers. It tells of each "
            "head the balanced accuracy on the validation images, unless that on the "
            f"{evaluation.images:,} test images differs by more than about {settings.threshold:g}: "
            f"then it tells that, with noise of scale {settings.noise:g}, and spends one of its "
            f"{settings.budget} answers from the test images, of which {evaluation.remaining} are "
            "left. No interval, subgroup, curve or single decision is told, and few shots, "
            "shifts and other datasets are not measured." + _how_well_guarded(evaluation),
            "rows": [
                {
                    "head": a.head,
                    "kind": a.head_kind,
                    "value": "–" if a.value is None else f"{a.value:.3f}",
                    "origin": origin[a.source],
                }
                for a in evaluation.answers
            ],
        },
        "caveats": _caveats(evaluation),
        "few_shots": None,
    }


def _how_well_guarded(evaluation: GuardedEvaluation) -> str:
    """Return a warning where the rarest class is so small that one image shows through."""
    if evaluation.one_image <= evaluation.settings.noise:
        return ""
    return (
        f" One image of the rarest class moves a balanced accuracy by {evaluation.one_image:.3f}, "
        "more than the noise, so the holdout protects these test images but weakly."
    )


def _caveats(evaluation: Evaluation | GuardedEvaluation) -> list[str]:
    """Return what stands beside the numbers: earlier looks, and what the encoder may have seen."""
    stated = evaluation.pretraining.rstrip(". ")
    said = f"The encoder was pretrained on {stated}." if stated else ""
    if not stated:
        said = "The study does not say what the encoder was pretrained on."
    if stated or evaluation.pretraining_covers_test != "unknown":
        said = f"{said} {_COVERS[evaluation.pretraining_covers_test]}"
    looks = tell_looks(evaluation.earlier_looks)
    return [looks, said] if looks else [said]


# --- what they are worth -------------------------------------------------------------------------


def _table(
    evaluation: Evaluation,
    shown: dict[HeadMetricName, tuple[str, str]],
    facts: Sequence[HeadFacts],
    wanted: Callable[[str], bool],
) -> dict[str, Any]:
    """Return one row a wanted head, one column a metric."""
    by_head: dict[str, dict[HeadMetricName, Metric]] = {}
    for metric in evaluation.metrics:
        if wanted(metric.head):
            by_head.setdefault(metric.head, {})[metric.name] = metric
    chosen = {f.name: ", ".join(f"{k} {v:g}" for k, v in f.chosen.items()) for f in facts}
    return {
        "columns": [{"label": label, "arrow": arrow} for label, arrow in shown.values()],
        "rows": [
            {
                "head": head,
                "kind": next(iter(metrics.values())).head_kind,
                "note": chosen.get(head, ""),
                "cells": [metrics.get(name) for name in shown],
            }
            for head, metrics in by_head.items()
        ],
    }


def _at_nec(metrics: Sequence[Metric]) -> set[str]:
    """Return the heads that were made only to be compared at a number of effective concepts.

    One that is called as its kind is, is the one that validation images chose.
    """
    cards = {m.head: card_of(m.head_kind) for m in metrics}
    return {head for head, card in cards.items() if card.along_nec and head != card.title}


def _sparse(evaluation: Evaluation, facts: Sequence[HeadFacts], at_nec: set[str]) -> dict[str, Any]:
    """Return sparse heads of selected and of random concepts, each at the same numbers of them."""
    metrics = [m for m in evaluation.metrics if m.head in at_nec and m.name == "balanced_accuracy"]
    families = [
        (card.along_nec, card.colour, [m for m in metrics if m.head_kind == card.kind])
        for card in map(card_of, dict.fromkeys(m.head_kind for m in metrics))
    ]
    return {
        "chart": nec_chart(families, "balanced accuracy"),
        "table": _table(evaluation, _WORTH, facts, lambda head: head in at_nec),
    }


def _differences(differences: Sequence[Difference]) -> dict[str, Any]:
    """Return one row a pair of heads, one column a metric."""
    names = list(dict.fromkeys(d.name for d in differences))
    rows: dict[tuple[str, str], dict[HeadMetricName, Difference]] = {}
    for d in differences:
        rows.setdefault((d.head, d.baseline), {})[d.name] = d
    return {
        "columns": [_LABELS[name] for name in names],
        "rows": [
            {
                "head": head,
                "baseline": baseline,
                "cells": [_difference(found[name]) if name in found else None for name in names],
            }
            for (head, baseline), found in rows.items()
        ],
    }


def _difference(d: Difference) -> dict[str, Any]:
    tested = d.delong
    return {
        "value": f"{d.value:+.3f}",
        "span": f"{d.low:+.3f} to {d.high:+.3f}",
        "method": d.method,
        "verdict": "better" if d.low > 0 else "worse" if d.high < 0 else "",
        "delong": f"{_p_value(tested.p_value)}, {tested.low:+.3f} to {tested.high:+.3f}"
        if tested
        else "",
    }


def _p_value(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


# --- whether confidence can be relied on ---------------------------------------------------------


def _confidence(evaluation: Evaluation, kinds: dict[str, HeadKind]) -> dict[str, Any]:
    shown = {name for name, kind in kinds.items() if kind in _OPEN}
    risks = [(c.head, card_of(kinds[c.head]).colour, c.risk_coverage) for c in evaluation.curves]
    return {
        "table": _table(evaluation, _CONFIDENCE, (), lambda head: head in shown),
        "more": _table(evaluation, _CONFIDENCE, (), lambda head: head not in shown),
        "calibrations": [
            _calibration(c.head, c.calibration) | {"kind": kinds[c.head]} for c in evaluation.curves
        ],
        "validation_images": evaluation.curves[0].calibration.validation_images,
        "reliability": [
            {
                "head": c.head,
                "svg": reliability_diagram(
                    c.calibration.reliability, card_of(kinds[c.head]).colour
                ),
            }
            for c in evaluation.curves
        ],
        "risk": risk_coverage_chart(risks),
        "kept": _kept(evaluation.curves),
    }


def _calibration(head: str, calibration: Calibration) -> dict[str, Any]:
    def told(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return {
        "head": head,
        "temperature": f"{calibration.temperature:.2f}",
        "at_bound": calibration.at_bound,
        "log_loss": told(calibration.log_loss),
        "log_loss_after": told(calibration.log_loss_after),
        "error": told(calibration.error),
        "error_after": told(calibration.error_after),
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


# --- for whom ------------------------------------------------------------------------------------


def _subgroups(evaluation: Evaluation) -> dict[str, Any]:
    tables = evaluation.subgroups
    columns = list(dict.fromkeys(m.column for m in tables.metrics))
    heads = list(dict.fromkeys(m.head for m in tables.metrics))
    return {
        "note": "Each subgroup is measured alone. A mean over classes is over those that it has, "
        "so two subgroups compare only as far as they have the same ones. Subgroups of fewer than "
        f"{tables.smallest} independent groups are merged into “other” or hidden. The interval of "
        "the worst value is of whichever subgroup is worst in a resample; the worst of several "
        "noisy values lies too low, and more so the more subgroups there are.",
        "heads": heads,
        "worst": [
            {
                "column": column.replace("_", " "),
                "cells": [_worst(tables.worst, column, head) for head in heads],
            }
            for column in columns
        ],
        "tables": [
            _by_column(column, [m for m in tables.metrics if m.column == column], heads)
            for column in columns
        ],
        "unusable": tables.unusable,
    }


def _worst(worst: Sequence[WorstSubgroup], column: str, head: str) -> WorstSubgroup | None:
    wanted = (column, head, "balanced_accuracy")
    return next((w for w in worst if (w.column, w.head, w.name) == wanted), None)


def _by_column(
    column: str, metrics: Sequence[SubgroupMetric], heads: Sequence[str]
) -> dict[str, Any]:
    names = list(dict.fromkeys(m.name for m in metrics))
    rows = [list(group) for _, group in groupby(_by_subgroup(metrics), lambda m: m.subgroup)]
    return {
        "column": column.replace("_", " "),
        "heads": [{"head": head, "metrics": [_LABELS[name] for name in names]} for head in heads],
        "rows": [
            {
                "subgroup": row[0].subgroup,
                "images": row[0].images,
                "groups": row[0].groups,
                "classes": row[0].classes,
                "cells": [
                    next((m for m in row if (m.head, m.name) == (head, name)), None)
                    for head in heads
                    for name in names
                ],
            }
            for row in rows
        ],
    }


def _by_subgroup(metrics: Sequence[SubgroupMetric]) -> list[SubgroupMetric]:
    order = {name: i for i, name in enumerate(dict.fromkeys(m.subgroup for m in metrics))}
    return sorted(metrics, key=lambda m: order[m.subgroup])


# --- what they dispute ---------------------------------------------------------------------------


def _dispute(d: Disagreement, names: _Names, book: PictureBook) -> dict[str, Any]:
    parted = d.only_first_right + d.only_second_right + d.both_wrong_apart
    total = parted + d.both_right + d.both_wrong_alike
    ahead = d.first if d.only_first_right > d.only_second_right else d.second
    verdict = (
        "Neither is right more often there than chance would have it"
        if d.p_value >= 0.05
        else f"The {ahead} is right more often there than chance would have it"
    )
    return {
        "note": f"The {d.first} and the {d.second} decide differently on {parted:,} of {total:,} "
        f"images. {verdict} (exact McNemar test over independent groups, {_p_value(d.p_value)}).",
        "rows": [
            {"what": "both right", "count": d.both_right},
            {"what": f"only {d.first} right", "count": d.only_first_right},
            {"what": f"only {d.second} right", "count": d.only_second_right},
            {"what": "both wrong, alike", "count": d.both_wrong_alike},
            {"what": "both wrong, each in its own way", "count": d.both_wrong_apart},
        ],
        "first": d.first,
        "second": d.second,
        "quarrels": [_quarrel(q, names, book) for q in d.examples],
    }


def _quarrel(q: DisagreeingImage, names: _Names, book: PictureBook) -> dict[str, Any]:
    return {
        "image_id": q.image_id,
        "css": book.css(q.image_id),
        "label": names[q.label],
        "says": [
            {"name": names[key], "share": f"{share:.0%}", "right": key == q.label}
            for key, share in ((q.first, q.first_probability), (q.second, q.second_probability))
        ],
    }


# --- errors --------------------------------------------------------------------------------------


def _confusion(
    curves: HeadCurves, kinds: dict[str, HeadKind], names: Sequence[str]
) -> dict[str, Any]:
    return {
        "head": curves.head,
        "open": kinds[curves.head] in _OPEN,
        "rows": [
            {
                "name": names[i],
                "cells": [
                    {"count": n, "share": n / (sum(row) or 1), "diagonal": i == j}
                    for j, n in enumerate(row)
                ],
            }
            for i, row in enumerate(curves.confusion)
        ],
    }


def _opened_first(confusions: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Part the heads that are shown at once from those that are shown on demand."""
    return {
        "shown": [c for c in confusions if c["open"]],
        "more": [c for c in confusions if not c["open"]],
    }
