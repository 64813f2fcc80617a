"""How good are few statements, and how many random ones are needed for the same?"""

from collections.abc import Iterator
from typing import Any

from curette.schemas.heads import REFERENCE, card_of
from curette.schemas.questions.concept_budget import ConceptBudget
from curette.tasks.methods.page.charts import Line, Point, line_chart
from curette.tasks.methods.page.numbers import counted, plain, signed_with_interval, with_interval
from curette.tasks.report.material import Draft

_TELLS = 0.01  # of 1, within classes
_AS_WELL = 0.05  # how far the interval of a difference may reach below in "as well as"
WAYS = {
    "selected": ("chosen together", "#0f766e"),
    "labo": ("LaBo’s objective", "#b45309"),
    "random": ("random statements", "#94a3a0"),
    "random directions": ("random directions", "#a78bfa"),
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return the curve, what lies between its lines, and what accuracy cannot show."""
    if draft.evaluation is None or draft.evaluation.concept_budget is None:
        return None
    budget = draft.evaluation.concept_budget
    box = budget.black_box
    lines = [
        Line(
            name=f"{title} ({line.draws} draws)" if line.draws > 1 else title,
            colour=colour,
            points=[
                Point(
                    point.concepts,
                    point.balanced_accuracy.value,
                    point.lowest if line.draws > 1 else point.balanced_accuracy.low,
                    point.highest if line.draws > 1 else point.balanced_accuracy.high,
                )
                for point in line.points
            ],
        )
        for name, (title, colour) in WAYS.items()
        for line in budget.lines
        if line.name == name and line.points
    ]
    if box is not None:
        sizes = [point.x for line in lines for point in line.points]
        level = [Point(size, box.value) for size in (min(sizes), max(sizes))]
        probe = card_of(REFERENCE)
        lines.append(Line(probe.title, probe.colour, level, "dashed"))
    return {
        "chart": line_chart(
            lines, "concepts", "balanced accuracy", doublings=True, mark=budget.chosen
        ),
        "beside": list(_beside(draft)),
        "areas": [
            f"{signed_with_interval(area)} over {other}"
            for area, other in (
                (budget.area_over_random, "random statements"),
                (budget.area_over_labo, "LaBo’s objective"),
            )
            if area is not None
        ],
    }


def findings(budget: ConceptBudget) -> Iterator[str]:
    """Yield what the curve comes to: against the black box, then against random statements.

    That no difference was found is not equality: "as well as" needs an interval that leaves less
    than `_AS_WELL` below.
    """
    lead, reached, box = budget.lead_over_black_box, budget.reached, budget.black_box
    if lead is None or reached is None or box is None:
        yield "These images cannot tell how many statements are needed."
        return
    probe = "a linear probe on whole images"
    verdict = _first(
        (f"decide better than {probe}", lead.low > 0),
        (f"decide less well than {probe}", lead.high < 0),
        (f"decide as well as {probe}", lead.low > -_AS_WELL),
        (f"may decide as well as {probe}; there are too few images to be sure", True),
    )
    yield (
        f"{counted(budget.chosen, 'statement')} {verdict}: balanced accuracy "
        f"{with_interval(reached)} against {with_interval(box)}, a difference of "
        f"{signed_with_interval(lead)}."
    )
    lead, needs = budget.lead_over_random, budget.random_needs
    if lead is None:
        return
    verdict = _first(
        ("so choosing them helps", lead.low > 0),
        ("so choosing them does harm", lead.high < 0),
        ("so nothing shows that choosing them helps", True),
    )
    need = _first(
        ("; no number of random ones does as well", needs is None),
        ("", (needs or 0) <= budget.chosen),
        (f"; it takes {needs} random ones to do as well", True),
    )
    yield (
        f"As many drawn at random reach {plain(reached.value - lead.value)} (a difference of "
        f"{signed_with_interval(lead)}), {verdict}{need}."
    )


def _first(*cases: tuple[str, bool]) -> str:
    return next(words for words, holds in cases if holds)


def _beside(draft: Draft) -> Iterator[str]:
    """Yield what accuracy cannot show of the chosen statements."""
    chosen = draft.material.concepts
    findings = draft.evaluation.concept_truth.findings if draft.evaluation else ()
    told = [f for f in findings if f.score == "text" and f.family_p_value is not None]
    if told:
        found = sum(f.is_found for f in told)
        yield (
            f"Of {counted(len(chosen.concepts), 'statement')} the truth of {len(told)} is known; "
            f"the scores of {found} find what they name."
        )
    if chosen.stability is not None:
        yield (
            "Chosen again from resampled training images, the choice has a stability of "
            f"{plain(chosen.stability.index, 2)} (1: always the same; 0: as by chance)."
        )
    texts = {c.concept_id: c.text for c in chosen.concepts}
    told_at_all = {
        column.replace("_", " "): max(of.items(), key=lambda x: x[1])
        for column, of in chosen.avoided.items()
    }
    if nothing := [name for name, (_, most) in told_at_all.items() if most < _TELLS]:
        avoided = ", ".join(nothing)
        yield f"No chosen statement by itself predicts what the choice avoids: {avoided}."
    for name, (telling, most) in told_at_all.items():
        if most >= _TELLS:
            said = f"“{texts.get(telling, telling)}” explains most ({plain(most, 2)} of 1)"
            yield f"Of {name}, which the choice avoids, {said}."
    for column, both in chosen.avoided_together.items():
        yield (
            f"Together they explain {plain(both.told, 2)} of {column.replace('_', ' ')} among "
            "images of one class (0: nothing; 1: all of it); as many random scores would explain "
            f"{plain(both.by_chance, 2)}."
        )
