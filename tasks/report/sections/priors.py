"""Which concept is believed to speak for which class, before any image is seen?"""

from typing import Any

from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any]:
    """Return which concept speaks for which class, how sure that is, and where it is doubtful."""
    priors, names = draft.material.priors, draft.class_names
    texts = {c.concept_id: c.text for c in draft.material.published.pool}
    speaking = sum(p.answer != "neutral" for p in priors.priors)
    return {
        "meaning": f"{speaking:,} of {len(priors.priors):,} pairs of concept and class are said to "
        "be linked.",
        "note": f"Who says which concept speaks for which class: {priors.source}.",
        "agreement": [
            {
                "question": a.question,
                "kappa": "not computable" if a.kappa is None else f"{a.kappa:.2f}",
                "pairs": a.items,
                "votes": a.votes_each,
            }
            for a in priors.agreement
        ],
        "rows": [
            {
                "name": names[key],
                "counts": [
                    sum(p.class_key == key and p.answer == answer for p in priors.priors)
                    for answer in ("speaks for", "neutral", "speaks against")
                ],
            }
            for key in priors.class_keys
        ],
        "differing": [
            {"text": texts.get(p.concept_id, p.concept_id), "name": names[p.class_key]}
            for p in priors.priors
            if p.directions_differ
        ],
        "failures": priors.failures,
        "unmatched": priors.unmatched,
        "spellings": [
            {
                "names": " and ".join(f"'{name}'" for name in s.names),
                "agree": f"{s.agree} of {s.questions}",
                "used": "both count" if s.used else "a similar name, not read",
                "kappa": "not computable" if s.kappa is None else f"{s.kappa:.2f}",
            }
            for s in priors.spellings
        ],
    }
