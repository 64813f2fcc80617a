"""What the page about several studies says."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curette.schemas.heads import EXPLAINED, card_of
from curette.schemas.metrics import Estimate
from curette.tasks.compare.comparing import (
    ConceptChange,
    FinishedStudy,
    concept_changes,
    paired_difference,
    same_test,
    setting_changes,
)
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.page.charts import Figure, Line, Point, line_chart
from curette.tasks.methods.page.numbers import (
    counted,
    plain,
    signed,
    signed_with_interval,
    with_interval,
)
from curette.tasks.methods.page.render import render

_TEMPLATES = Path(__file__).parent / "templates"
_MAIN = "balanced_accuracy"
_COLOURS = ("#0f766e", "#b45309", "#1d4ed8", "#b3304f", "#7c3aed", "#4d5c59")
_LONG = 300  # characters of a setting's value that are shown
_SHORT = 60  # the same, in a terminal
_MARKS = {"kept": "=", "reworded": "~", "exchanged": "~", "dropped": "-", "added": "+"}
_STATES = {
    "kept": "in both",
    "reworded": "in other words",
    "exchanged": "exchanged for one that scores alike",
    "dropped": "only in {first}",
    "added": "only in {other}",
}


def comparison_page(studies: Sequence[FinishedStudy]) -> str:
    """Return one HTML file about what differs between studies.

    Args:
        studies: at least two, of different names; the others are held against the first.
    """
    first, *others = studies
    page = {
        "pictures": [],
        "beside": False,
        "names": [s.name for s in studies],
        "notices": list(_notices(studies)),
        "sentences": [_sentence(first, other) for other in others],
        "curve": _curve(studies),
        "heads": _heads(studies),
        "facts": _facts(studies),
        "others": [_against(first, other) for other in others],
    }
    return render("comparison.html.j2", [_TEMPLATES], page=page)


def _notices(studies: Sequence[FinishedStudy]) -> Iterator[str]:
    yield (
        "All numbers are of test images. Whoever takes the better study because of them has "
        "fitted to these images: decide by validation images or by reasons, and read "
        "these numbers afterwards."
    )
    first, *others = studies
    for other in others:
        if not same_test(first, other):
            yield (
                f"{other.name} was tested on other images than {first.name}, or on other labels: "
                "their numbers stand side by side and cannot be paired."
            )
    if any(s.published.facts.synthetic_images for s in studies):
        yield "Images drawn by curette itself are among these; no patient is behind them."
    if any(s.published.facts.recorded_answers for s in studies):
        yield "Recorded answers stand in for a language model in some of these."


def _sentence(first: FinishedStudy, other: FinishedStudy) -> str:
    """Say which of two decides better by its concepts."""
    head = card_of(EXPLAINED).title
    a, b = (s.metrics.get((s.head.facts.name, _MAIN)) for s in (first, other))
    if a is None or b is None:
        return f"The {head} of {first.name} or of {other.name} was not measured."
    said = f"balanced accuracy {with_interval(b)} against {with_interval(a)}"
    difference = paired_difference(first, other, first.head.facts.name)
    if difference is None:
        return f"{other.name} and {first.name} were not asked the same: {said}."
    verdict = (
        "decides better than"
        if difference.low > 0
        else "decides less well than"
        if difference.high < 0
        else "shows no difference that could not be chance from"
    )
    lead = signed_with_interval(difference)
    return f"{other.name} {verdict} {first.name}: {said}, a difference of {lead}."


def tell_difference(first: FinishedStudy, other: FinishedStudy) -> list[str]:
    """Return what differs between two studies, a line each: the finding, concepts, settings."""
    lines = [_sentence(first, other)]
    for change in concept_changes(first, other):
        before, after = (
            f"{text} ({_speaks_for(study, text)})" if text else ""
            for study, text in ((first, change.before), (other, change.after))
        )
        mark = _MARKS[change.state]
        if change.state == "kept":
            moved = before.partition(change.before)[2], after.partition(change.after)[2]
            if change.links or moved[0] != moved[1]:
                links = f"; {change.links}" if change.links else ""
                lines.append(f"{mark} {change.before}{moved[0]} ->{moved[1]}{links}")
            continue
        lines.append(f"{mark} {' -> '.join(filter(None, [before, after]))}")
        lines.append(f"    {_why(change)}")
    lines += [
        f"{x.stage}: {x.setting or 'run'}: {x.before[:_SHORT] or '–'} -> {x.after[:_SHORT] or '–'}"
        for x in setting_changes(first, other)
    ]
    return [printable(line) if line[:1] != " " else f"    {printable(line)}" for line in lines]


def since_then(first: FinishedStudy, other: FinishedStudy) -> str:
    """Return in one sentence what differs from an earlier run of the same study."""
    counts = Counter(change.state for change in concept_changes(first, other))
    told = [f"{counts[s]} {s}" for s in ("added", "dropped", "exchanged", "reworded") if counts[s]]
    concepts = f"concepts: {', '.join(told)}" if told else "the same concepts"
    difference = paired_difference(first, other, first.head.facts.name)
    measured = (
        "other test images, so that accuracies are not to be compared"
        if difference is None
        else f"balanced accuracy of the {card_of(EXPLAINED).title} "
        f"{signed_with_interval(difference)} on the same test images"
    )
    return f"Since the last run: {concepts}; {measured}."


def _why(change: ConceptChange) -> str:
    alike = "" if change.alike is None else f"scores correlate by {plain(change.alike, 2)}; "
    return alike + change.why


def _curve(studies: Sequence[FinishedStudy]) -> Figure | None:
    """Draw how good the first so many concepts of each study are."""
    lines = [
        Line(
            study.name,
            _COLOURS[number % len(_COLOURS)],
            [
                Point(p.concepts, e.value, e.low, e.high)
                for p in budget.line("selected").points
                for e in [p.balanced_accuracy]
            ],
        )
        for number, study in enumerate(studies)
        if (budget := study.evaluation.concept_budget)
    ]
    return line_chart(lines, "concepts", "balanced accuracy", doublings=True) if lines else None


def _heads(studies: Sequence[FinishedStudy]) -> list[dict[str, Any]]:
    """Return a row a head: its balanced accuracy in each study, and how far others are ahead."""
    first, *others = studies
    names = dict.fromkeys(m.head for s in studies for m in s.evaluation.metrics)
    return [
        {
            "head": name,
            "cells": [with_interval(s.metrics.get((name, _MAIN))) for s in studies],
            "leads": [_lead(paired_difference(first, other, name)) for other in others],
        }
        for name in names
    ]


def _lead(e: Estimate | None) -> dict[str, str]:
    verdict = "" if e is None else "good" if e.low > 0 else "bad" if e.high < 0 else ""
    return {"told": signed_with_interval(e), "verdict": verdict}


def _facts(studies: Sequence[FinishedStudy]) -> list[dict[str, Any]]:
    rows: dict[str, list[str]] = {
        "images": [
            f"{len(s.published.images):,} from {s.published.facts.images_from}" for s in studies
        ],
        "test images": [
            f"{counted(s.evaluation.images, 'image')} in {counted(s.evaluation.groups, 'group')}"
            for s in studies
        ],
        "classes": [", ".join(c.name for c in s.published.facts.classes) for s in studies],
        "encoder": [s.published.facts.encoder.name for s in studies],
        "statements from": [s.published.facts.concepts_from for s in studies],
        "candidates that passed the screen": [f"{len(s.published.pool):,}" for s in studies],
        "concepts": [f"{len(s.published.concepts):,}" for s in studies],
    }
    return [
        {"name": name, "cells": cells, "same": len(set(cells)) == 1} for name, cells in rows.items()
    ]


def _against(first: FinishedStudy, other: FinishedStudy) -> dict[str, Any]:
    changes = concept_changes(first, other)
    counts = {state: sum(c.state == state for c in changes) for state in _STATES}
    told = [
        f"{counts[state]} {words.format(first=first.name, other=other.name)}"
        for state, words in _STATES.items()
        if counts[state]
    ]
    return {
        "name": other.name,
        "meaning": f"Concepts: {', '.join(told)}.",
        "concepts": [_concept(first, other, change) for change in changes],
        "settings": [
            {
                "stage": x.stage,
                "setting": x.setting or "whether it was run",
                "before": x.before[:_LONG] or "–",
                "after": x.after[:_LONG] or "–",
            }
            for x in setting_changes(first, other)
        ],
    }


def _concept(first: FinishedStudy, other: FinishedStudy, change: ConceptChange) -> dict[str, str]:
    said = _STATES[change.state].format(first=first.name, other=other.name)
    if change.alike is not None:
        said += f" (correlation {plain(change.alike, 2)})"
    return {
        "state": said,
        "before": change.before,
        "after": change.after,
        "weight_before": _speaks_for(first, change.before),
        "weight_after": _speaks_for(other, change.after),
        "why": change.why or change.links,
    }


def _speaks_for(study: FinishedStudy, text: str) -> str:
    """Return the class that a concept speaks most for or against, with its weight."""
    if not text:
        return ""
    column = [c.text for c in study.published.concepts].index(text)
    weights = study.weights[:, column]
    most = int(np.abs(weights).argmax())
    name = study.published.facts.classes[most].name
    return f"{'for' if weights[most] > 0 else 'against'} {name} ({signed(float(weights[most]), 2)})"
