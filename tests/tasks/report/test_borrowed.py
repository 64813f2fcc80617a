"""The section says whose images taught what, what was left out, and what it was worth."""

from typing import Any

from curette.schemas.heads import BORROWED, card_of
from curette.schemas.probe import Borrowed, BorrowedConcept, LeftOut
from curette.schemas.questions.differences import Difference
from curette.schemas.questions.metrics import Metric
from curette.tasks.report.sections.borrowed import borrowed_section

VEIL = BorrowedConcept(
    concept_id="0" * 12,
    text="blue-white veil",
    attribute="blue_veil",
    denied=False,
    present=120,
    absent=880,
    l2=0.1,
    auroc_there=0.93,
    random_95=0.61,
    p_value=0.005,
    auroc=None,
    text_auroc=None,
)
TAUGHT = Borrowed(
    study="elsewhere",
    images=1000,
    groups=400,
    left_out=(LeftOut(reason="this study has the same image, and tests on it", images=3),),
    concepts=(
        VEIL,
        VEIL.model_copy(update={"text": "flat", "denied": True, "auroc_there": 0.6}),
    ),
    unused=("hair",),
)


def _name(kind: str) -> str:
    """Return what the evaluation calls it: several draws are one head."""
    return card_of(kind).title + " (mean of 5)" * card_of(kind).drawn


def _metric(kind: str, value: float) -> Metric:
    return Metric(
        head=_name(kind),
        head_kind=kind,
        nec=2,
        name="balanced_accuracy",
        value=value,
        low=value - 0.1,
        high=value + 0.1,
        method="percentile",
    )


def _lead(low: float) -> Difference:
    return Difference(
        head=card_of(BORROWED).title,
        baseline=_name("random_borrowed"),
        name="balanced_accuracy",
        value=0.05,
        low=low,
        high=0.1,
        method="percentile",
    )


def _told(low: float) -> dict[str, Any]:
    metrics = [_metric(BORROWED, 0.8), _metric("random_borrowed", 0.75)]
    return borrowed_section(TAUGHT, metrics, [_lead(low)])


def test_the_finding_is_held_against_random_directions() -> None:
    assert _told(0.01)["meaning"] == (
        "Images of elsewhere taught the directions of 2 selected concepts: balanced accuracy "
        "0.800 [0.700, 0.900], more than with random directions in their places "
        "(+0.050 [+0.010, +0.100])."
    )
    assert "no more, as far as this test tells, than with random" in _told(-0.01)["meaning"]
    nothing_measured = borrowed_section(TAUGHT, (), ())
    assert nothing_measured["meaning"].endswith("directions of 2 selected concepts.")
    assert nothing_measured["heads"] == []


def test_a_concept_says_who_decided_it_and_whether_it_is_luck() -> None:
    veil, flat = _told(0.01)["concepts"]
    assert (veil["by"], veil["shown"], veil["luck"]) == ("blue veil", "120 of 1,000", "")
    assert (flat["by"], flat["luck"]) == ("not blue veil", "no more than chance")
    assert (veil["there"], veil["here"]) == ("0.930", "–")
