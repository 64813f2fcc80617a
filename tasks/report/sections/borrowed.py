"""What are directions worth that another study's labelled images taught?"""

from collections.abc import Sequence
from typing import Any

from curette.schemas.heads import BORROWED, EXPLAINED, card_of
from curette.schemas.probe import Borrowed, BorrowedConcept
from curette.schemas.questions.differences import Difference
from curette.schemas.questions.metrics import Metric
from curette.tasks.methods.page.numbers import (
    counted,
    plain,
    signed_with_interval,
    with_interval,
)
from curette.tasks.report.material import Draft

_BESIDE = (BORROWED, "grounded", EXPLAINED, "random_borrowed")


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a row a concept and a row a head; nothing where no direction was borrowed."""
    borrowed, evaluation = draft.material.probe.borrowed, draft.evaluation
    if borrowed is None:
        return None
    return borrowed_section(
        borrowed,
        evaluation.metrics if evaluation else (),
        evaluation.differences if evaluation else (),
    )


def borrowed_section(
    borrowed: Borrowed, metrics: Sequence[Metric], differences: Sequence[Difference]
) -> dict[str, Any]:
    """Return what the template places, from what was learned and what was measured."""
    heads = {m.head_kind: m for m in metrics if m.name == "balanced_accuracy"}
    leads = {
        d.baseline: d
        for d in differences
        if d.name == "balanced_accuracy" and d.head == card_of(BORROWED).title
    }
    return {
        "meaning": _meaning(borrowed, heads, leads),
        "study": borrowed.study,
        "images": f"{borrowed.images:,}",
        "groups": f"{borrowed.groups:,}",
        "left_out": [(x.reason, f"{x.images:,}") for x in borrowed.left_out],
        "unused": ", ".join(borrowed.unused),
        "concepts": [_concept(c) for c in borrowed.concepts],
        "heads": [
            {
                "name": heads[kind].head,
                "value": with_interval(heads[kind]),
                "lead": signed_with_interval(leads.get(heads[kind].head)),
            }
            for kind in _BESIDE
            if kind in heads
        ],
    }


def _meaning(borrowed: Borrowed, heads: dict[str, Metric], leads: dict[str, Difference]) -> str:
    said = (
        f"Images of {borrowed.study} taught the directions of "
        f"{counted(len(borrowed.concepts), 'selected concept')}"
    )
    luck = heads.get("random_borrowed")
    over_chance = leads.get(luck.head) if luck else None
    if BORROWED not in heads or over_chance is None:
        return f"{said}."
    better = "more than" if over_chance.low > 0 else "no more, as far as this test tells, than"
    return (
        f"{said}: balanced accuracy {with_interval(heads[BORROWED])}, {better} with random "
        f"directions in their places ({signed_with_interval(over_chance)})."
    )


def _concept(c: BorrowedConcept) -> dict[str, str]:
    by_luck = c.auroc_there is None or c.random_95 is None or c.auroc_there <= c.random_95
    column = c.attribute.replace("_", " ") if c.labels_from == "column" else "an annotation"
    return {
        "text": c.text,
        "by": f"{'not ' if c.denied else ''}{column}",
        "shown": f"{c.present:,} of {c.present + c.absent:,}",
        "there": plain(c.auroc_there),
        "chance": plain(c.random_95),
        "here": plain(c.auroc),
        "text_here": plain(c.text_auroc),
        "luck": "no more than chance" if by_luck else "",
    }
