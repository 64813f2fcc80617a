"""The first screen: what was asked on what, what came out, and how far to trust it."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.heads import EXPLAINED, card_of
from curette.schemas.questions.metrics import Metric
from curette.schemas.readings import describe_readings
from curette.tasks.methods.page.numbers import counted, plain, with_interval
from curette.tasks.report.material import Draft
from curette.tasks.report.sections import concept_budget, shifts

_MAIN = "balanced_accuracy"
_WELL_CALIBRATED = 0.05  # root mean square error of confidence
_BADLY_CALIBRATED = 0.15

Level = Literal["good", "warn", "bad", "unknown"]
_ORDER: tuple[Level, ...] = ("good", "unknown", "warn", "bad")
_VERDICT: dict[Level, str] = {
    "good": "Nothing was found that speaks against these numbers.",
    "unknown": "Nothing was found that speaks against these numbers, but not everything could be "
    "checked.",
    "warn": "Read these numbers with the reservations below.",
    "bad": "Do not rely on these numbers before what is marked below is resolved.",
}


class Check(NamedTuple):
    """One reason to trust the numbers or not to."""

    level: Level
    title: str
    reason: str
    section: str
    """Where its numbers stand: a section's address."""


def compose_finding(draft: Draft) -> dict[str, Any]:
    """Return what the first screen says."""
    checks = sorted(_checks(draft), key=lambda check: -_ORDER.index(check.level))
    worst = max((check.level for check in checks), key=_ORDER.index)
    return {
        "question": _question(draft),
        "sentences": list(_sentences(draft)),
        "trust": {"level": worst, "verdict": _VERDICT[worst], "checks": checks},
    }


def _question(draft: Draft) -> str:
    """Say what was asked, on what, and by which means."""
    m, e = draft.material, draft.material.evaluation
    names = list(draft.class_names.values())
    kept, dropped = len(m.screened.kept), len(m.screened.dropped)
    return (
        f"Which of {len(names)} classes does an image show: {', '.join(names[:-1])} or "
        f"{names[-1]}? Asked of {counted(e.images, 'test image')} in "
        f"{counted(e.groups, 'independent group')}, of {len(m.dataset):,} images in all. The "
        f"answer is decided by {len(m.concepts.concepts):,} statements about what is visible, "
        f"selected from {kept + dropped:,} candidates of which {kept:,} passed the screen."
    )


def _sentences(draft: Draft) -> Iterator[str]:
    """Yield the finding, the most important sentence first."""
    evaluation = draft.material.evaluation
    if isinstance(evaluation, GuardedEvaluation):
        yield _guarded(evaluation)
        return
    yield from _reached(evaluation, len(draft.material.concepts.concepts))
    if evaluation.shifts:
        yield from shifts.findings(evaluation.shifts)


def _guarded(evaluation: GuardedEvaluation) -> str:
    told = next(a for a in evaluation.answers if a.head_kind == EXPLAINED)
    if told.value is None:
        return "The reusable holdout refused to answer: its budget is spent."
    return (
        f"The {told.head} reaches a balanced accuracy of {plain(told.value)}, as the reusable "
        "holdout reveals it, without an interval."
    )


def _reached(evaluation: Evaluation, concepts: int) -> Iterator[str]:
    """Say how good the selected concepts are, and whether others would have done."""
    if evaluation.concept_budget:
        yield from concept_budget.findings(evaluation.concept_budget)
        return
    own = next(m for m in _main(evaluation) if m.head_kind == EXPLAINED)
    said = f"{counted(concepts, 'statement')} reach a balanced accuracy of {with_interval(own)}"
    yield f"{said}; there was nothing to choose from."


def _main(evaluation: Evaluation) -> list[Metric]:
    return [m for m in evaluation.metrics if m.name == _MAIN]


# --- trust ---------------------------------------------------------------------------------------


def _checks(draft: Draft) -> Iterator[Check]:
    """Yield everything that speaks for the numbers or against them."""
    yield _leaks(draft)
    yield _test_labels(draft)
    yield _pretraining(draft)
    yield _validation(draft)
    if draft.evaluation is not None:
        yield _selection(draft.evaluation)
        yield _concepts(draft.evaluation)
        yield _confounders(draft.evaluation)
        yield _subgroups(draft.evaluation)
        yield _calibration(draft.evaluation)


def _leaks(draft: Draft) -> Check:
    found = draft.material.index.duplicates.images_found
    if found:
        near = "is a near-duplicate" if found == 1 else "are near-duplicates"
        reason = f"{counted(found, 'image')} {near} of an image in an earlier split."
        return Check("warn", "Leaks between splits", reason, "data")
    reason = "No near-duplicates between splits, and groups never straddle splits."
    return Check("good", "Leaks between splits", reason, "data")


def _test_labels(draft: Draft) -> Check:
    told = describe_readings(draft.material.evaluation.earlier_readings)
    reason = told or "These test labels were read here for the first time."
    return Check("warn" if told else "good", "Test labels", reason, "metrics")


def _pretraining(draft: Draft) -> Check:
    covers = draft.material.evaluation.pretraining_covers_test
    told: dict[str, tuple[Level, str]] = {
        "no": ("good", "By the study’s own word the encoder has not seen the test images."),
        "yes": ("bad", "By the study’s own word the encoder may have seen the test images."),
        "unknown": ("unknown", "Nobody knows whether the encoder has seen the test images."),
    }
    level, reason = told[covers]
    return Check(level, "Pretraining", reason, "metrics")


def _validation(draft: Draft) -> Check:
    checks = draft.material.validation.checks
    warned = sum(c.outcome != "passed" for c in checks)
    if warned:
        reason = f"{counted(warned, 'check')} of {len(checks)} did not pass."
        return Check("warn", "Checks of the data", reason, "validation")
    return Check("good", "Checks of the data", f"All {len(checks)} passed.", "validation")


def _selection(evaluation: Evaluation) -> Check:
    title, budget = "Selected concepts against random ones", evaluation.concept_budget
    if budget is None or budget.lead_over_random is None:
        return Check("unknown", title, "No random concepts were measured.", "concept-budget")
    if budget.lead_over_random.low > 0:
        return Check("good", title, "The selected ones are better.", "concept-budget")
    reason = "Random concepts do as well: the concepts shown are not the reason for the accuracy."
    return Check("warn", title, reason, "concept-budget")


def _concepts(evaluation: Evaluation) -> Check:
    title, quality = "Concepts are what they are called", evaluation.concept_truth
    told = [f for f in quality.findings if f.score == "text" and f.family_p_value is not None]
    if not told:
        reason = "No ground truth says whether scores find what concepts name."
        return Check("unknown", title, reason, "concept-truth")
    found = sum(f.is_found for f in told)
    reason = f"Scores find {found} of {counted(len(told), 'concept')} whose truth is known."
    level: Level = "good" if found == len(told) else "warn" if found * 2 >= len(told) else "bad"
    return Check(level, title, reason, "concept-truth")


def _confounders(evaluation: Evaluation) -> Check:
    title = "Confounders"
    if evaluation.shifts is None or not evaluation.shifts.results:
        reason = "No shift was measured, so nothing is known about confounders."
        return Check("unknown", title, reason, "shifts")
    falls = [
        (v, result.plan.spec.title.replace("_", " "))
        for result in evaluation.shifts.results
        for v in result.values
        if v.head_kind == EXPLAINED and v.of == "gap" and v.name == _MAIN and v.low > 0
    ]
    if not falls:
        count = len(evaluation.shifts.results)
        reason = f"Under {counted(count, 'shift')} the {card_of(EXPLAINED).title} does not fall."
        return Check("good", title, reason, "shifts")
    gap, name = max(falls, key=lambda x: x[0].value)
    reason = f"The {gap.head} falls by {plain(gap.value)} under the shift {name}."
    return Check("bad" if gap.value > 0.1 else "warn", title, reason, "shifts")


def _subgroups(evaluation: Evaluation) -> Check:
    title = "Subgroups"
    own = next(m for m in _main(evaluation) if m.head_kind == EXPLAINED)
    worst = [w for w in evaluation.subgroups.worst if (w.head, w.name) == (own.head, _MAIN)]
    if not worst:
        reason = (
            "No metadata splits the test images into groups, so nobody knows for whom it holds."
        )
        return Check("unknown", title, reason, "subgroups")
    lowest = min(worst, key=lambda w: w.value)
    where = f"{lowest.column.replace('_', ' ')} {lowest.subgroup}"
    reason = f"Lowest for {where}: {with_interval(lowest)}, of all {plain(own.value)}."
    return Check("warn" if lowest.high < own.value else "good", title, reason, "subgroups")


def _calibration(evaluation: Evaluation) -> Check:
    title = "Confidence"
    error = next(
        (
            m
            for m in evaluation.metrics
            if m.head_kind == EXPLAINED and m.name == "debiased_calibration_error"
        ),
        None,
    )
    if error is None:
        return Check("unknown", title, "Too few images to say how far it holds.", "curves")
    apart = plain(error.value)
    reason = f"How sure it says it is and how often it is right lie {apart} apart."
    if float(apart) == 0:
        reason = "How sure it says it is and how often it is right differ by no more than chance."
    level: Level = (
        "good"
        if error.value <= _WELL_CALIBRATED
        else "bad"
        if error.value > _BADLY_CALIBRATED
        else "warn"
    )
    return Check(level, title, reason, "curves")
