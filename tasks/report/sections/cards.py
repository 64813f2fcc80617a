"""What does it decide by? The concepts that set classes apart most, each with its images."""

from typing import Any

import numpy as np

from curette.schemas.questions.concept_truth import ConceptFinding
from curette.tasks.methods.page.numbers import signed
from curette.tasks.report.material import Draft

_SHOWN = 12  # cards
_BARS = 6  # classes on a card
_TELLING = 3  # images
_FURTHEST = 0.05  # share of the training images among which one is looked for that misleads
_TELLS = 0.2  # how far from one half an AUROC within classes is called a confounder's


def compose(draft: Draft) -> dict[str, Any]:
    """Return a card for each of the concepts that set classes apart most."""
    weights = draft.weights
    order = np.argsort(-weights.std(axis=0), kind="stable")
    shown = order[:_SHOWN].tolist()
    findings = _findings(draft)
    confounders = _confounders(draft)
    largest = float(np.abs(weights).max()) or 1.0
    return {
        "count": len(order),
        "shown": len(shown),
        "cards": [_card(draft, j, largest, findings, confounders) for j in shown],
    }


def _findings(draft: Draft) -> dict[str, ConceptFinding]:
    if draft.evaluation is None:
        return {}
    found = draft.evaluation.concept_truth.findings
    return {f.concept_id: f for f in found if f.score == "text"}


def _confounders(draft: Draft) -> dict[str, str]:
    """Return what a concept tells of an attribute that the study's shifts are about."""
    told: dict[str, str] = {}
    shifts = draft.evaluation.shifts if draft.evaluation else None
    for result in shifts.results if shifts else ():
        if result.plan.spec.kind != "dataset":
            column = result.plan.spec.column.replace("_", " ")
            for c in result.confounders:
                within = c.within_class_auroc
                if within is not None and abs(within - 0.5) >= _TELLS:
                    told.setdefault(
                        c.concept_id,
                        f"also predicts {column}: AUROC {within:.2f} for “{c.value}” within "
                        "classes",
                    )
    return told


def _card(
    draft: Draft,
    number: int,
    largest: float,
    findings: dict[str, ConceptFinding],
    confounders: dict[str, str],
) -> dict[str, Any]:
    published = draft.material.published
    concept, weights = published.concepts[number], draft.weights[:, number]
    names = [c.name for c in published.facts.classes]
    kept = np.sort(np.argsort(-np.abs(weights), kind="stable")[:_BARS])
    bars = sorted(kept.tolist(), key=lambda k: -weights[k])
    return {
        "text": concept.text,
        "bars": [
            {
                "name": names[k],
                "weight": signed(float(weights[k]), 2),
                "for": bool(weights[k] >= 0),
                "width": 50 * abs(float(weights[k])) / largest,
            }
            for k in bars
        ],
        "pictures": _telling(draft, number),
        "misleading": _misleading(draft, number),
        "found": _found(findings.get(concept.concept_id)),
        "confounder": confounders.get(concept.concept_id, ""),
    }


def _telling(draft: Draft, number: int) -> list[dict[str, Any]]:
    """Return the training images on which a concept scores highest."""
    ids, order = _by_score(draft, number)
    text = draft.material.published.concepts[number].text
    count = min(_TELLING, draft.spec.images_per_concept)
    return [draft.picture(ids[i], f"among the highest scores for “{text}”") for i in order[:count]]


def _misleading(draft: Draft, number: int) -> dict[str, Any] | None:
    """Return the training image of the highest score whose class the concept speaks against."""
    published = draft.material.published
    ids, order = _by_score(draft, number)
    against = draft.weights[published.labels("train"), number] < 0
    high = order[draft.spec.images_per_concept : max(1, int(len(order) * _FURTHEST))]
    found = next((i for i in high if against[i]), None)
    if found is None or not draft.spec.images_per_concept:
        return None
    text = published.concepts[number].text
    return draft.picture(ids[found], f"scores high for “{text}”, which speaks against its class")


def _by_score(draft: Draft, number: int) -> tuple[list[str], list[int]]:
    """Return the training images' ids, and their places from the highest score down."""
    published = draft.material.published
    rows = published.rows("train")
    order = np.argsort(-published.scores[rows, number], kind="stable")
    return published.images["image_id"].iloc[rows].tolist(), order.tolist()


def _found(finding: ConceptFinding | None) -> dict[str, str]:
    """Say whether the score finds what the concept names."""
    if finding is None or finding.auroc is None or finding.family_p_value is None:
        return {"level": "unknown", "text": "no ground truth says whether its score finds it"}
    area = f"AUROC {finding.auroc.value:.2f}"
    if finding.is_found:
        return {"level": "good", "text": f"its score finds what it names ({area})"}
    return {"level": "bad", "text": f"its score does not find what it names ({area})"}
