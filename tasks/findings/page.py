"""The page about several findings."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from curette.schemas.artifact import Ref
from curette.schemas.findings import FindingMetric, FindingRow, FindingsFacts, HeadValue
from curette.schemas.heads import EXPLAINED, HeadKind, card_of
from curette.schemas.metrics import Estimate
from curette.tasks.findings.measuring import HEADS, METRICS
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.page.numbers import counted, plain, with_interval
from curette.tasks.methods.page.render import render

TEMPLATES = Path(__file__).parent / "templates"
TITLES: Final[dict[FindingMetric, str]] = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
}


def findings_page(facts: FindingsFacts, *, synthetic: bool) -> str:
    """Return the page; it links to the reports as they lie beside it in the store.

    Args:
        facts: its numbers.
        synthetic: whether the images were drawn by the project.
    """
    heads = [kind for kind in HEADS if any(v.head == kind for v in facts.means)]
    page = {
        "study": printable(facts.study),
        "finding": tell_mean(facts),
        "notices": list(_notices(facts, synthetic=synthetic)),
        "heads": [card_of(kind).title for kind in heads],
        "metrics": [
            {
                "title": TITLES[name],
                "rows": [
                    {"row": _named(row), "cells": _cells(row.values, heads, name)}
                    for row in facts.rows
                ],
                "mean": _cells(facts.means, heads, name),
                "chance": name == "average_precision",
            }
            for name in METRICS
        ],
        "rows": [_counts(row) for row in facts.rows],
        "together": _together(facts),
        "facts": facts,
        "level": f"{facts.confidence:.0%}".replace("%", " %"),
        "pictures": [],
        "beside": False,
    }
    return render("findings.html.j2", [TEMPLATES], page=page)


def tell_mean(facts: FindingsFacts) -> str:
    """Return in a sentence what the heads are worth in the mean over findings."""
    told = [
        f"{card_of(v.head).title} {with_interval(v.value)}"
        for v in facts.means
        if v.name == "auroc"
    ]
    return (
        f"Mean AUROC over {counted(len(facts.rows), 'finding')}: {', '.join(told)}."
        if told
        else "No head was measured at every finding."
    )


def value_of(
    values: Sequence[HeadValue], head: HeadKind = EXPLAINED, name: FindingMetric = "auroc"
) -> Estimate | None:
    """Return one number of a head; None where it is not defined."""
    return next((v.value for v in values if (v.head, v.name) == (head, name)), None)


def _cells(
    values: Sequence[HeadValue], heads: Sequence[HeadKind], name: FindingMetric
) -> list[Estimate | None]:
    return [value_of(values, head, name) for head in heads]


def _named(row: FindingRow) -> dict[str, Any]:
    report = Ref.parse(row.report)
    test = row.counts["test"]
    return {
        "name": printable(row.name),
        "href": f"../../{report.kind}/{report.digest}/report.html",
        "share": plain(test.present / (test.present + test.absent)),
    }


def _counts(row: FindingRow) -> dict[str, Any]:
    return {
        "name": printable(row.name),
        "key": printable(row.key),
        "cells": [f"{c.present:,} of {c.present + c.absent:,}" for c in row.counts.values()],
        "left_out": f"{row.left_out:,}",
        "concepts": f"{row.concepts:,}",
    }


def _together(facts: FindingsFacts) -> list[dict[str, Any]]:
    pairs = {(p.first, p.second): p for p in facts.together}

    def cell(first: str, second: str) -> dict[str, Any]:
        pair = pairs.get((first, second))
        if pair is None or not pair.first_of_known:
            return {"told": "–", "share": 0.0}
        share = pair.both / pair.first_of_known
        percent = f"{share:.0%}".replace("%", " %")
        return {"told": f"{pair.both:,} ({percent})", "share": share}

    keys = [row.key for row in facts.rows]
    return [
        {"name": printable(row.name), "cells": [cell(row.key, other) for other in keys]}
        for row in facts.rows
    ]


def _notices(facts: FindingsFacts, *, synthetic: bool) -> Iterator[str]:
    if synthetic:
        yield "The images were drawn by curette itself; no patient is behind them."
    by_warning: dict[str, list[str]] = {}
    for row in facts.rows:
        if row.readings:
            by_warning.setdefault(row.readings, []).append(printable(row.name))
    for warning, names in by_warning.items():
        yield f"{', '.join(names)}: {warning}"
    if lost := [r for r in facts.rows if value_of(r.values) is None]:
        without = ", ".join(printable(row.name) for row in lost)
        yield (
            f"{without}: all test images show it, or none does: it has no AUROC and is in no mean."
        )
