"""How good are heads when the images change, and which concepts know of the change?"""

from collections.abc import Mapping, Sequence
from typing import Any

from curette.schemas.heads import EXPLAINED, REFERENCE, card_of
from curette.schemas.images import ClassLabel
from curette.schemas.questions.shifts import (
    ConfounderScore,
    ShiftMetricName,
    ShiftResult,
    ShiftTables,
    ShiftValue,
    ShiftValueName,
)
from curette.schemas.settings.draw import ConfoundedShift
from curette.schemas.shifts import DatasetShift, PlannedShift, ShiftPart
from curette.tasks.methods.page.charts import Figure, Row, interval_chart
from curette.tasks.methods.page.numbers import plain, signed
from curette.tasks.report.material import Draft
from curette.tasks.report.sections.adaptations import adapted_sites

_LISTED_CONCEPTS = 10
_MAIN = "balanced_accuracy"
_FEW = 20  # groups; below, percentiles hold the truth less often than they say
_METRICS: tuple[tuple[ShiftMetricName, str], ...] = (
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_auroc", "macro AUROC"),
    ("debiased_calibration_error", "calibration error"),
)
_REJECTED: dict[str, str] = {
    "other-class": "of no class of the study",
    "study-image": "which are images of the study byte for byte",
}
_COVERED = {
    "yes": "The encoder was pretrained on them, so these numbers are likely too good.",
    "no": "The encoder was not pretrained on them.",
    "unknown": "Whether the encoder was pretrained on them is not known.",
}
_OF: dict[ShiftValueName, str] = {
    "in_domain": "in domain",
    "out_of_domain": "out of domain",
    "gap": "gap",
    "mean": "mean",
    "worst_group": "worst group",
}
_PARTS = {
    "training": "trained on",
    "validation": "chosen on",
    "in_domain": "tested in domain",
    "out_of_domain": "tested out of domain",
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return every shift; None where the study has none."""
    if draft.evaluation is None or draft.evaluation.shifts is None:
        return None
    tables = draft.evaluation.shifts
    return {
        "meaning": " ".join(findings(tables)) or "No shift could be measured.",
        "adapted": adapted_sites(draft),
        **shift_section(tables, draft.material.published.facts.classes),
    }


def findings(tables: ShiftTables) -> list[str]:
    """Say what shifts do to the two heads that readers look for.

    First the shift under which they part the most, then that under which the concept bottleneck
    falls most, where it is another one.
    """
    told = [(ends, r.plan.spec) for r in tables.results if len(ends := _ends(r)) == 2]
    if not told:
        return []
    apart = max(told, key=lambda x: x[0][REFERENCE]["gap"].value - x[0][EXPLAINED]["gap"].value)
    worst = max(told, key=lambda x: x[0][EXPLAINED]["gap"].value)
    said = [_sentence(*apart)]
    if worst is not apart and worst[0][EXPLAINED]["gap"].low > 0:
        said.append(_sentence(*worst))
    return said


def _ends(result: ShiftResult) -> dict[str, dict[ShiftValueName, ShiftValue]]:
    """Return the balanced accuracies of the two heads in and out of domain, and their gap."""
    of_heads = {
        kind: {v.of: v for v in result.values if v.head_kind == kind and v.name == _MAIN}
        for kind in (REFERENCE, EXPLAINED)
    }
    wanted = {"in_domain", "out_of_domain", "gap"}
    return {kind: of for kind, of in of_heads.items() if wanted <= set(of)}


def _sentence(ends: Mapping[str, Mapping[ShiftValueName, ShiftValue]], spec: PlannedShift) -> str:
    said = " and ".join(
        f"the {of['gap'].head} {_turn(of['gap'])} from {plain(of['in_domain'].value)} to "
        f"{plain(of['out_of_domain'].value)}{', which may be chance' * _may_be_chance(of['gap'])}"
        for of in ends.values()
    )
    return f"{_when(spec)}, {said} (balanced accuracy)."


def _turn(gap: ShiftValue) -> str:
    return "falls" if gap.low > 0 else "rises" if gap.high < 0 else "goes"


def _may_be_chance(gap: ShiftValue) -> bool:
    return gap.low <= 0 <= gap.high


def _when(spec: PlannedShift) -> str:
    if isinstance(spec, DatasetShift):
        return f"On the other dataset {spec.name}"
    column = spec.column.replace("_", " ")
    if isinstance(spec, ConfoundedShift):
        return f"When {column} and class no longer go together as in training"
    return f"On images whose {column} was not trained on"


def shift_section(tables: ShiftTables, classes: Sequence[ClassLabel]) -> dict[str, Any]:
    """Return what the template shows: a chart, the numbers and the telling concepts of each."""
    restricted = any(r.plan.spec.kind != "dataset" for r in tables.results)
    trained = (
        "Heads trained on some of the training images and measured on test images like them (in "
        "domain) and unlike them (out of domain); concepts are selected anew from the images "
        "trained on. "
        if restricted
        else ""
    )
    return {
        "note": f"{trained}Heads may answer with any class. A class of fewer than "
        f"{tables.fewest} independent groups on one side is left out of both. The worst "
        f"group is the class and value, of at least {tables.smallest} independent groups, at which "
        "a head is right least often; the lowest of several noisy numbers lies too low. The gap of "
        "the zero-shot head, which no image trains, is that of the test images alone. Calibration "
        "errors are debiased, lower is better; there is none where images are weighed. Intervals "
        f"of {tables.confidence:.0%}, percentiles of {tables.resamples:,} resamples of whole "
        "groups; leads are over the linear probe of the same shift.",
        "shifts": [_shift(result, {c.key: c.name for c in classes}) for result in tables.results],
        "unusable": tables.unusable,
    }


def _shift(result: ShiftResult, names: dict[str, str]) -> dict[str, Any]:
    spec, heads = result.plan.spec, list(dict.fromkeys(v.head for v in result.values))
    return {
        "title": spec.title.replace("_", " "),
        "column": "the dataset"
        if isinstance(spec, DatasetShift)
        else spec.column.replace("_", " "),
        "about": _about_dataset(result, spec, names)
        if isinstance(spec, DatasetShift)
        else _about(result, names),
        "verdict": _verdict(result),
        "chart": domain_chart(result.values),
        "tables": [
            {
                "metric": label,
                "columns": [_OF[of] for of in _OF if of != "worst_group" or worst],
                "rows": [_row(result, head, metric, names, worst) for head in heads],
            }
            for metric, label in _METRICS
            if any(v.name == metric for v in result.values)
            for worst in [metric == "balanced_accuracy"]
        ],
        "paired": bool(result.plan.pairing),
        "parts": [_part(part) for part in (*result.plan.parts, *result.parts)],
        "concepts": len(result.confounders),
        "told_by": "the test images of both datasets"
        if isinstance(spec, DatasetShift)
        else "the study’s training and validation images as they are",
        "confounders": [_confounder(c) for c in result.confounders[:_LISTED_CONCEPTS]],
    }


def _confounder(score: ConfounderScore) -> dict[str, Any]:
    """Return a row: how well a concept tells of the column, within classes where that is known."""
    within = score.within_class_auroc
    told = score.auroc if within is None else within
    return {
        "text": score.text,
        "value": score.value,
        "within": "–" if within is None else f"{within:.3f}",
        "auroc": f"{score.auroc:.3f}",
        "width": 70 * abs(told - 0.5) * 2,
        "raises": told > 0.5,
    }


def _about(result: ShiftResult, names: dict[str, str]) -> str:
    """Say what goes with what, or who is on which side."""
    plan, column = result.plan, result.plan.spec.column.replace("_", " ")
    inside, outside = result.parts
    without = _left_out(result, names)
    if isinstance(plan.spec, ConfoundedShift):
        pairs = ", ".join(
            f"{name}: {value}" for name, value in zip(names.values(), plan.pairing, strict=True)
        )
        return (
            f"Class and {column} go together in training and in domain ({pairs}), and the other "
            "way round out of domain. Test images count by weights that bring this about, so none "
            f"is lost: as much as {outside.effective_images:,.0f} of equal weight stand for the "
            f"other way round, {inside.effective_images:,.0f} of the one in domain.{without}"
        )
    return (
        f"In domain is {column} {plan.values[0]} ({inside.images:,} test images), out of domain "
        f"{plan.values[1]} ({outside.images:,}).{without}"
    )


def _left_out(result: ShiftResult, names: dict[str, str]) -> str:
    """Say which classes are not measured, and how little the others have."""
    thin = ", ".join(names[k] for k in result.left_out if k not in result.plan.left_out)
    untaught = ", ".join(names[key] for key in result.plan.left_out)
    without = f" Left out, since one side has too few: {thin}." * bool(thin)
    without += (
        f" Left out, and trained on as it is, since training lacks one of its values: {untaught}."
        * bool(untaught)
    )
    thinner = ", ".join(f"{names[k]} {n:,}" for k, n in result.smaller_side.items())
    return f"{without} Independent groups on the smaller side: {thinner}."


def _about_dataset(result: ShiftResult, shift: DatasetShift, names: dict[str, str]) -> str:
    """Say what the other dataset is, what of it is measured, and what speaks against it."""
    inside, outside = result.parts
    said = [
        f"Out of domain are {outside.images:,} images of {shift.name} ({shift.source}), by which "
        f"nothing was trained or chosen; in domain are {inside.images:,} test images of the study. "
        "Heads and concepts are those of the results above, as they are."
    ]
    if shift.synthetic:
        said.append("They were drawn by the project itself, and say nothing about medicine.")
    said.append(_COVERED[shift.pretraining_covers])
    if shift.rejected:
        counts = (f"{n:,} {_REJECTED.get(why, why)}" for why, n in shift.rejected.items())
        said.append(f"Rejected were {', '.join(counts)}.")
    said.append(
        f"Near-duplicates of the study's own images (cosine of at least "
        f"{shift.near_copy_cosine:g}): {shift.near_copies:,}"
        + (
            "; where they are the same picture, this is not another dataset."
            if shift.near_copies
            else "."
        )
    )
    return " ".join([*said, shift.readings]).strip() + _left_out(result, names)


def _verdict(result: ShiftResult) -> str:
    """Tell the two heads that every reader looks for in one sentence each."""
    told = []
    for kind in (REFERENCE, EXPLAINED):
        of = {
            v.of: v
            for v in result.values
            if v.head_kind == kind and v.name in ("balanced_accuracy", "accuracy")
        }
        if {"in_domain", "out_of_domain", "gap"} <= set(of):
            gap = of["gap"]
            doubt = ", which may be chance" * _may_be_chance(gap)
            told.append(
                f"The {gap.head} {_turn(gap)} from {of['in_domain'].value:.3f} in domain to "
                f"{of['out_of_domain'].value:.3f} out of domain{doubt}."
            )
    if (thinnest := min(result.smaller_side.values())) < _FEW:
        told.append(
            f"The class with the fewest images on one side has {thinnest} independent groups: "
            "intervals of so few are too narrow, so a difference that they barely show may be "
            "chance too."
        )
    return " ".join(told)


def _row(
    result: ShiftResult, head: str, metric: str, names: dict[str, str], worst: bool
) -> dict[str, Any]:
    found = {v.of: v for v in result.values if v.head == head and v.name in (metric, "accuracy")}
    group = next((w for w in result.worst_groups if w.head == head), None)
    return {
        "head": head,
        "kind": next(v.head_kind for v in result.values if v.head == head),
        "cells": [_cell(found.get(of)) for of in _OF if of != "worst_group" or worst],
        "worst": f"{names[group.class_key]}, {group.value}" if group and worst else "",
    }


def _cell(value: ShiftValue | None) -> dict[str, str] | None:
    """Return a cell's texts; `verdict` says whether a lead's interval leaves zero out."""
    if value is None:
        return None
    told = signed if value.of == "gap" else plain
    lead = ""
    verdict = ""
    if value.lead is not None and value.lead_low is not None and value.lead_high is not None:
        lead = signed(value.lead)
        above, below = value.lead_low > 0, value.lead_high < 0
        falls = (value.of == "gap") != (value.name == "debiased_calibration_error")
        better, worse = (below, above) if falls else (above, below)
        verdict = "good" if better else "bad" if worse else ""
    return {
        "value": told(value.value),
        "interval": f"{told(value.low)}{' to ' if value.of == 'gap' else '–'}{told(value.high)}",
        "lead": lead,
        "verdict": verdict,
    }


def _part(part: ShiftPart) -> dict[str, str]:
    weighed = f" ({part.effective_images:,.0f})" * (part.effective_images < part.images - 0.5)
    return {
        "name": _PARTS[part.name],
        "images": f"{part.images:,}{weighed}",
        "groups": f"{part.groups:,}",
        "classes": str(part.classes),
        "cramers_v": "–" if part.cramers_v is None else f"{part.cramers_v:.2f}",
        "paired_share": "–" if part.paired_share is None else f"{part.paired_share:.0%}",
    }


def domain_chart(values: Sequence[ShiftValue]) -> Figure:
    """Draw each head's balanced accuracy in domain (full) and out of domain (hollow).

    Heads that learned nothing, such as the majority class, stand in the table alone.
    """
    rows = [
        Row(v.head, card_of(v.head_kind).colour, v.value, v.low, v.high, _OF[v.of])
        for v in sorted(values, key=lambda v: v.of)  # in domain first
        if v.name == _MAIN
        and v.of in ("in_domain", "out_of_domain")
        and card_of(v.head_kind).role != "floor"
    ]
    return interval_chart(rows, "balanced accuracy")
