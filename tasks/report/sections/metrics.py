"""How good is each head, by every metric?"""

from collections.abc import Callable, Sequence
from typing import Any

from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.heads import card_of
from curette.schemas.metrics import HeadMetricName
from curette.schemas.probe import HeadFacts
from curette.schemas.questions.metrics import Metric
from curette.schemas.readings import describe_readings
from curette.schemas.settings.evaluate import Answer
from curette.tasks.methods.page.charts import Line, Point, Row, interval_chart, line_chart
from curette.tasks.methods.page.numbers import with_interval
from curette.tasks.report.material import Draft

_WORTH: dict[HeadMetricName, tuple[str, str]] = {
    "balanced_accuracy": ("balanced accuracy", "↑"),
    "accuracy": ("accuracy", "↑"),
    "macro_f1": ("macro F1", "↑"),
    "macro_auroc": ("macro AUROC", "↑"),
}
_COVERS: dict[Answer, str] = {
    "yes": "By the study's own word that covers these test images: the encoder may have seen them, "
    "so the numbers here may be too good.",
    "no": "By the study's own word that covers none of these test images.",
    "unknown": "Whether that covers these test images the study does not know.",
}


def compose(draft: Draft) -> dict[str, Any]:
    """Return every head's metrics, or what the reusable holdout tells."""
    evaluation = draft.material.evaluation
    heads = {
        "skipped": draft.material.probe.skipped,
        "chosen": _chosen([h.facts for h in draft.material.probe.heads]),
        "caveats": caveats(evaluation),
    }
    if isinstance(evaluation, GuardedEvaluation):
        return {**_guarded(evaluation), **heads}
    at_nec = _at_nec(evaluation.metrics)
    main = [m for m in evaluation.metrics if m.name == "balanced_accuracy" and m.head not in at_nec]
    best = max(main, key=lambda m: m.value)
    return {
        "meaning": f"Of {len(main)} heads the {best.head} has the highest balanced accuracy, "
        f"{with_interval(best)}.",
        "guarded": None,
        "note": "Test split, whose labels the evaluation alone reads: "
        f"{evaluation.images:,} images. Intervals are {evaluation.confidence:.0%}, "
        f"{evaluation.interval} bootstrap, {evaluation.resamples:,} resamples of "
        f"{evaluation.groups:,} {_units(draft)}. A bottleneck that is no better than one of "
        "concepts drawn at random from the same candidates owes nothing to their selection.",
        "forest": interval_chart(
            [Row(m.head, card_of(m.head_kind).colour, m.value, m.low, m.high) for m in main],
            "balanced accuracy on the test split",
        ),
        "table": metric_table(evaluation, _WORTH, lambda head: head not in at_nec),
        "sparse": _sparse(evaluation, at_nec) if at_nec else None,
        **heads,
    }


def caveats(evaluation: Evaluation | GuardedEvaluation) -> list[str]:
    """Return what stands beside the numbers: earlier readings, what the encoder may have seen."""
    stated = evaluation.pretraining.rstrip(". ")
    said = f"The encoder was pretrained on {stated}." if stated else ""
    if not stated:
        said = "The study does not say what the encoder was pretrained on."
    if stated or evaluation.pretraining_covers_test != "unknown":
        said = f"{said} {_COVERS[evaluation.pretraining_covers_test]}"
    readings = describe_readings(evaluation.earlier_readings)
    return [readings, said] if readings else [said]


def metric_table(
    evaluation: Evaluation,
    shown: dict[HeadMetricName, tuple[str, str]],
    wanted: Callable[[str], bool],
) -> dict[str, Any]:
    """Return one row a wanted head, one column a metric: its name and which way is better."""
    by_head: dict[str, dict[HeadMetricName, Metric]] = {}
    for metric in evaluation.metrics:
        if wanted(metric.head):
            by_head.setdefault(metric.head, {})[metric.name] = metric
    return {
        "columns": [{"label": label, "arrow": arrow} for label, arrow in shown.values()],
        "rows": [
            {
                "head": head,
                "kind": next(iter(metrics.values())).head_kind,
                "cells": [metrics.get(name) for name in shown],
            }
            for head, metrics in by_head.items()
        ],
    }


def _units(draft: Draft) -> str:
    """Return what is resampled, as far as the data knows who is who."""
    images = draft.material.published.images
    known = [name for name in ("subject", "lesion") if images[name].notna().any()]
    if known:
        return f"groups (images of one {' or '.join(known)} stay together)"
    return "images, each for itself, since no subject is known"


def _chosen(facts: Sequence[HeadFacts]) -> list[dict[str, str]]:
    """Return the settings that validation images chose, a head a row, to three digits."""
    return [
        {
            "head": f.name,
            "settings": ", ".join(f"{k.replace('_', ' ')} {v:.3g}" for k, v in f.chosen.items()),
        }
        for f in facts
        if f.chosen and not card_of(f.kind).drawn
    ]


def _at_nec(metrics: Sequence[Metric]) -> set[str]:
    """Return the heads that were made only to be compared at a number of effective concepts.

    One that is called as its kind is, is the one that validation images chose.
    """
    cards = {m.head: card_of(m.head_kind) for m in metrics}
    return {head for head, card in cards.items() if card.along_nec and head != card.title}


def _sparse(evaluation: Evaluation, at_nec: set[str]) -> dict[str, Any]:
    """Return sparse heads of selected and of random concepts, each at the same numbers of them."""
    metrics = [m for m in evaluation.metrics if m.head in at_nec and m.name == "balanced_accuracy"]
    families = [
        Line(
            card.along_nec,
            card.colour,
            [
                Point(m.nec, m.value, m.low, m.high)
                for m in sorted(metrics, key=lambda m: m.nec)
                if m.head_kind == card.kind
            ],
        )
        for card in map(card_of, dict.fromkeys(m.head_kind for m in metrics))
    ]
    return {
        "chart": line_chart(families, "effective concepts a class", "balanced accuracy"),
        "table": metric_table(evaluation, _WORTH, lambda head: head in at_nec),
    }


def _guarded(evaluation: GuardedEvaluation) -> dict[str, Any]:
    """Return what the reusable holdout tells; everything else about the test images is withheld."""
    settings = evaluation.settings
    origin = {
        "validation": "validation images: the test agrees",
        "test": "test images, with noise: they differ",
        "refused": "the budget is spent",
    }
    return {
        "meaning": "A reusable holdout gives the balanced accuracy of each head, and nothing else.",
        "guarded": {
            "note": "The test labels were asked through a reusable holdout (Dwork et al., 2015), "
            "which makes it hard to fit to them what is chosen by its answers. For each head it "
            "gives the balanced accuracy on the validation images, unless that on the "
            f"{evaluation.images:,} test images differs by more than about {settings.threshold:g}: "
            f"then it gives that, with noise of scale {settings.noise:g}, and spends one of its "
            f"{settings.budget} answers from the test images, of which {evaluation.remaining} are "
            "left. No interval, subgroup, curve or single decision is given, and few shots, "
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
    }


def _how_well_guarded(evaluation: GuardedEvaluation) -> str:
    """Return a warning where the rarest class is so small that one image shows through."""
    if evaluation.one_image <= evaluation.settings.noise:
        return ""
    return (
        f" One image of the rarest class moves a balanced accuracy by {evaluation.one_image:.3f}, "
        "more than the noise, so the holdout protects these test images but weakly."
    )
