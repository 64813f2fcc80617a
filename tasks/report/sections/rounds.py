"""What did each round of proposing add?"""

from typing import Any

from curette.schemas.appraisal import Round
from curette.schemas.questions.rounds import RoundOnTest
from curette.tasks.methods.page.numbers import (
    counted,
    plain,
    signed,
    signed_with_interval,
    with_interval,
)
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a row a round; nothing where there was but one."""
    rounds = draft.material.published.facts.rounds
    if not rounds:
        return None
    on_test = {r.number: r for r in draft.evaluation.rounds} if draft.evaluation else {}
    return {
        "meaning": _meaning(rounds),
        "rows": [_row(r, on_test.get(r.number), draft.class_names) for r in rounds],
    }


def _meaning(rounds: tuple[Round, ...]) -> str:
    if len(rounds) == 1:
        return "One round was enough: validation images confuse no classes."
    later = rounds[1:]
    kept = sum(r.kept for r in later)
    told = f"{kept} of {counted(len(later), 'further round')} added more than a standard error"
    gain = sum(r.gain or 0.0 for r in later if r.kept)
    return f"{told}, {plain(gain)} of squared loss in all." if kept else f"{told}: none was kept."


def _row(r: Round, on_test: RoundOnTest | None, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": r.number,
        "about": [f"{names.get(a, a)} or {names.get(b, b)}" for a, b in r.about],
        "proposed": r.proposed,
        "screened": r.screened,
        "chosen": r.chosen,
        "concepts": len(r.concepts),
        "loss": plain(r.loss),
        "gain": f"{signed(r.gain)} ± {plain(r.standard_error)}" if r.gain is not None else "–",
        "kept": "yes" if r.kept else "no",
        "accuracy": plain(r.accuracy),
        "test": with_interval(on_test.balanced_accuracy if on_test else None),
        "test_gain": signed_with_interval(on_test.gain if on_test else None),
    }
