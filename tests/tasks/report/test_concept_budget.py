"""What the curve over numbers of concepts is said to come to."""

import pytest

from curette.schemas.metrics import Estimate
from curette.schemas.questions.concept_budget import BudgetLine, BudgetPoint, ConceptBudget
from curette.tasks.report.sections.concept_budget import findings


def _budget(
    lead: float, random: tuple[float, ...], reached: float = 0.8, wide: float = 0.05
) -> ConceptBudget:
    def at(concepts: int, value: float) -> BudgetPoint:
        estimate = Estimate(value=value, low=value - 0.1, high=value + 0.1)
        return BudgetPoint(concepts=concepts, balanced_accuracy=estimate, lowest=0, highest=1)

    lines = (
        BudgetLine(name="selected", draws=1, points=(at(8, reached),)),
        BudgetLine(name="random", draws=20, points=tuple(map(at, (8, 12, 20), random))),
    )
    estimate = Estimate(value=lead, low=lead - wide, high=lead + wide)
    return ConceptBudget(
        chosen=8,
        lines=lines,
        black_box=Estimate(value=reached - lead, low=0, high=1),
        lead_over_black_box=estimate,
        lead_over_random=estimate,
        area_over_random=estimate,
        area_over_labo=estimate,
    )


@pytest.mark.parametrize(
    ("lead", "wide", "random", "against_box", "against_random"),
    [
        (0.01, 0.02, (0.6, 0.7, 0.81), "8 statements decide as well as a", "it takes 20 random"),
        (0.1, 0.05, (0.8, 0.8, 0.8), "8 statements decide better than a", "choosing them helps."),
        (-0.1, 0.05, (0.1, 0.2, 0.3), "8 statements decide less well than a", "does harm; no num"),
        (-0.12, 0.14, (0.9, 0.9, 0.9), "8 statements may decide as well as a", "nothing shows"),
    ],
)
def test_the_sentences_say_what_the_curve_comes_to(
    lead: float, wide: float, random: tuple[float, ...], against_box: str, against_random: str
) -> None:
    first, second = findings(_budget(lead, random, wide=wide))
    assert first.startswith(against_box)
    assert f"a difference of {lead:+.3f} [{lead - wide:+.3f}, {lead + wide:+.3f}]." in first
    assert against_random in second
    assert second.startswith(f"As many drawn at random reach {0.8 - lead:.3f}")
