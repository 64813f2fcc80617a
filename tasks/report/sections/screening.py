"""What was dropped, why, and how far can the gates be believed?"""

from collections import Counter
from typing import Any

from curette.schemas.review import ReviewFacts
from curette.schemas.screened import JudgeReport, Visibility
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any]:
    """Return every dropped concept with its reason, gate by gate, and what gates were unsure of."""
    screened = draft.material.screened
    dropped, kept = screened.dropped, screened.kept
    texts = {c.concept_id: c.text for c in (*kept, *(d.candidate for d in dropped))}
    kept_ids = {c.concept_id for c in kept}
    counts = Counter(d.gate for d in dropped)
    largest = max(counts.values(), default=1)
    return {
        "meaning": f"{len(kept):,} of {len(kept) + len(dropped):,} candidates passed the screen.",
        "note": "The first gate that objects gives the reason.",
        "gates": [
            {
                "name": gate.replace("_", " "),
                "count": counts[gate],
                "width": 100 * counts[gate] / largest if counts[gate] else 0,
                "drops": [
                    {
                        "text": d.candidate.text,
                        "reason": d.reason,
                        "classes": ", ".join(
                            draft.class_names.get(k, k) for k in d.candidate.classes
                        ),
                    }
                    for d in dropped
                    if d.gate == gate
                ],
            }
            for gate in screened.gates
        ],
        "families": [
            {"text": texts[f.concept_id], "members": [texts[m] for m in f.members]}
            for f in screened.families
        ],
        "unsure": [
            {
                "text": texts[u.concept_id],
                "kept": u.concept_id in kept_ids,
                "gate": u.gate.replace("_", " "),
                "why": u.why,
            }
            for u in screened.unsure
        ],
        "flags": [
            {"texts": [texts[i] for i in f.concept_ids], "warning": f.warning}
            for f in screened.flags
        ],
        "review": _review(screened.review) if screened.review else None,
        "judge": _judge(screened.judge) if screened.judge else None,
    }


def _review(review: ReviewFacts) -> dict[str, Any]:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in review.counts.items())
    return {
        "note": f"{', '.join(review.reviewers) or 'Nobody'} decided: {counts or 'nothing yet'}. "
        f"{len(review.undecided)} close calls are undecided, {len(review.not_found)} decisions are "
        "about concepts that are not here.",
        "applied": [
            {
                "text": d.text,
                "verdict": d.verdict,
                "becomes": d.new_text or ", ".join(d.new_classes),
                "reviewer": d.reviewer,
                "reason": d.reason,
                "gate": f"{d.gate.replace('_', ' ')}: {d.gate_reason}" if d.gate else "kept",
            }
            for d in review.applied
        ],
    }


def _judge(judge: JudgeReport) -> dict[str, Any]:
    kappa = "" if judge.kappa is None else f" Its votes agree with Fleiss' kappa {judge.kappa:.2f}."
    return {
        "note": f"{judge.model} voted {judge.votes} times on each of {len(judge.judged)} "
        f"statements.{kappa} {judge.verdict}",
        "believed": judge.believed,
        "known": [
            {
                "name": name,
                "count": found.count,
                "of": found.of,
                "share": found.share,
                "low": found.low,
                "high": found.high,
                "needed": needed,
            }
            for name, found, needed in (
                ("visible, called visible", judge.sensitivity, judge.min_sensitivity),
                ("not visible, not called visible", judge.specificity, judge.min_specificity),
            )
        ],
        "worth": _worth(judge, judge.visibility) if judge.visibility else [],
        "why_no_worth": judge.why_no_visibility,
        "total": len(judge.judged),
        "differ": [
            {
                "text": j.text,
                "judge": j.judge.replace("_", " "),
                "yes": j.yes,
                "no": j.no,
                "likely": judge.likely(j),
                "rules": j.rules.replace("_", " "),
            }
            for j in judge.judged
            if j.judge != j.rules
        ],
    }


def _worth(judge: JudgeReport, found: Visibility) -> list[dict[str, Any]]:
    """Return what each verdict is worth, and what all together say of the pool."""
    said = Counter(j.judge for j in judge.judged)
    rows = [
        ("called visible", said["visible"], found.called_visible),
        ("called not visible", said["not_visible"], found.called_not_visible),
        (
            f"all with a verdict; {found.verdicts.share:.2f} were called visible, corrected "
            f"without priors {found.rogan_gladen:.2f}",
            found.verdicts.of,
            found.share,
        ),
    ]
    return [{"name": n, "count": count, "visible": visible} for n, count, visible in rows]
