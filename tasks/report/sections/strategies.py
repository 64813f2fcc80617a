"""Which concepts decide, for how many images, and how often is that right?"""

from typing import Any

from curette.schemas.heads import EXPLAINED
from curette.schemas.metrics import Estimate
from curette.schemas.questions.strategies import HeadStrategy, StrategiesForetell
from curette.tasks.methods.page.numbers import counted, signed_with_interval, with_interval
from curette.tasks.report.material import Draft

_SHOWN, _LEAST = 4, 0.05  # of a class; the others are counted
_OPEN = 9  # classes; the others one click down


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return a panel a class: the concepts that call it, the most frequent first."""
    if draft.evaluation is None:
        return None
    strategies = draft.evaluation.strategies
    if strategies.not_computable or not strategies.strategies:
        reason = strategies.not_computable or "no image is decided"
        return {"not_computable": f"Not computable: {reason}."}
    by_class: dict[str, list[HeadStrategy]] = {key: [] for key in draft.class_names}
    for s in strategies.strategies:
        by_class[s.class_key].append(s)
    panels = [_panel(draft, key, found) for key, found in by_class.items()]
    return {
        "not_computable": "",
        "head": strategies.head,
        "panels": panels[:_OPEN],
        "more": panels[_OPEN:],
        "foretold": _foretold(strategies.foretold),
    }


def _panel(draft: Draft, key: str, found: list[HeadStrategy]) -> dict[str, Any]:
    shown = found[:1] + [s for s in found[1:_SHOWN] if s.prevalence.value >= _LEAST]
    rest = found[len(shown) :]
    return {
        "name": draft.class_names[key],
        "images": counted(sum(s.images for s in found), "image"),
        "strategies": [_strategy(draft, s) for s in shown],
        "rest": f"{counted(len(rest), 'other concept')} "
        f"{'decides' if len(rest) == 1 else 'decide'} "
        f"{counted(sum(s.images for s in rest), 'image')} more."
        if rest
        else "",
    }


def _strategy(draft: Draft, s: HeadStrategy) -> dict[str, Any]:
    share = s.prevalence.value
    rightly = share * s.reliability.value if s.reliability else 0.0
    return {
        "text": s.text,
        "low": _speaks_against(draft, s),
        "concept_id": s.concept_id,
        "class_key": s.class_key,
        "images": counted(s.images, "image"),
        "prevalence": _percent(s.prevalence),
        "reliability": _percent(s.reliability) if s.reliability else None,
        "right_width": 100 * rightly,
        "wrong_width": 100 * (share - rightly),
        "pictures": [
            draft.picture(i, f"called {draft.class_names[s.class_key]} by “{s.text}”")
            for i in s.examples
        ],
    }


def _speaks_against(draft: Draft, s: HeadStrategy) -> bool:
    """Return whether the concept's weight is negative, so that a low score is what decides."""
    concepts = [c.concept_id for c in draft.material.probe.head(EXPLAINED).facts.candidates]
    place = draft.material.published.class_keys.index(s.class_key), concepts.index(s.concept_id)
    return bool(draft.weights[place] < 0)


def _percent(e: Estimate) -> dict[str, str]:
    percent = "\N{NO-BREAK SPACE}%"
    return {
        "value": f"{100 * e.value:.0f}{percent}",
        "span": f"{100 * e.low:.0f} to {100 * e.high:.0f}{percent}",
    }


def _foretold(told: StrategiesForetell | None) -> str:
    """Say whether the reliability of an image's own strategy tells that it is right."""
    if told is None:
        return ""
    lead = told.over_confidence
    verdict = (
        "so it predicts more than how sure the head is"
        if lead.low > 0
        else "so how sure the head is predicts more"
        if lead.high < 0
        else "so no difference from how sure the head is was found"
    )
    left_out = f" ({told.others} decided as no validation image is are left out)" * (
        told.others > 0
    )
    return (
        f"On {counted(told.images, 'test image')}{left_out}, the reliability of an image's own "
        "strategy separates right decisions from wrong ones with an AUROC of "
        f"{with_interval(told.strategy)}; that of the class it is called alone with "
        f"{with_interval(told.class_alone)}, its highest probability with "
        f"{with_interval(told.confidence)}. The lead over the probability is "
        f"{signed_with_interval(lead)}, {verdict}."
    )
