"""Do scores find the concepts they are named after, and do heads weigh these rightly?"""

from collections.abc import Sequence
from statistics import median
from typing import Any

from curette.schemas.annotations import AnnotationFacts
from curette.schemas.images import is_column
from curette.schemas.probe import GroundedConcept
from curette.schemas.questions.concept_truth import ConceptFinding, ConceptQuality, HeadConcepts
from curette.tasks.methods.page.numbers import plain
from curette.tasks.report.material import Draft

_MATCHES = {
    "weights": "CGIM, weights",
    "predicted": "CGIM, scores",
    "product": "CGIM, their product",
}
_FOUND_NOTE = (
    "AUROC is the chance that an image which shows the concept scores higher than one which does "
    "not; within a class only pairs of the same class count, so a score that knows the class alone "
    "reads one half there. Chance is what one in twenty permutations of the truth exceeds, groups "
    "kept whole; found means p < 0.05 after correction for the number of concepts. Normalised "
    "average precision is as if every concept were equally frequent. The weight is the share of "
    "what the bottleneck's logits move by."
)
_HEADS_NOTE = (
    "CEM: of the labelled concepts that speak most for a decision because their score lies above "
    "the average image's, the share that is there; beside it what labelled concepts drawn at "
    "random reach. CGIM: the mean cosine, over classes, of how often a class shows a concept with "
    "the head's weights, with its mean score, and with both; beside it the same with other "
    "concepts' truth, since positive numbers always agree to a degree."
)
_FUNCTIONS_NOTE = (
    "Each takes the place of the text's score in the head “concept bottleneck, grounded”, at the "
    "text score's mean and spread. The head learns from what functions say of training images that "
    "they were not trained on. A direction that finds a concept must beat random ones, whose "
    "sign alone is learned."
)


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return what ground truth says of scores and heads, or why it says nothing."""
    if draft.evaluation is None:
        return None
    facts = draft.material.published.facts
    return concept_truth_section(
        draft.evaluation.concept_truth,
        draft.material.probe.grounding,
        facts.synthetic_images,
        facts.annotations,
    )


def concept_truth_section(
    quality: ConceptQuality,
    grounding: Sequence[GroundedConcept],
    synthetic: bool,
    annotations: AnnotationFacts | None = None,
) -> dict[str, Any]:
    """Return what the template places, from what was measured.

    Args:
        quality: what was measured.
        grounding: functions that find concepts, as validation images see them.
        synthetic: whether the images were drawn.
        annotations: what a model read in reports, where it did.
    """
    if quality.not_computable:
        return {
            "meaning": f"Not computable: {quality.not_computable}. Whether a score finds its "
            "concept cannot be said without."
        }
    text = sorted(
        (f for f in quality.findings if f.score == "text"),
        key=lambda f: -(f.auroc.value if f.auroc else 0.0),
    )
    grounded = {f.concept_id: f for f in quality.findings if f.score == "grounded"}
    columns = _head_columns(quality.heads)
    return {
        "meaning": _found("Scores find", text),
        "overview": _overview(quality, text, grounded, synthetic, annotations),
        "found_note": _FOUND_NOTE,
        "grounded": bool(grounded),
        "concepts": [_concept(f, grounded.get(f.concept_id)) for f in text],
        "heads_note": _HEADS_NOTE,
        "head_columns": columns,
        "heads": [_head(h, columns) for h in quality.heads],
        "pairs": quality.pairs,
        "pairs_found": quality.pairs_found,
        "functions_note": _FUNCTIONS_NOTE,
        "functions": [_function(g) for g in grounding],
    }


def _overview(
    quality: ConceptQuality,
    text: Sequence[ConceptFinding],
    grounded: dict[str, ConceptFinding],
    synthetic: bool,
    annotations: AnnotationFacts | None,
) -> list[str]:
    truth = "what was drawn" if synthetic else "the data's own columns"
    read = sum(not is_column(f.labels_from) for f in text)
    by_model = (
        f", and a model's reading of {annotations.reads} ({annotations.source}) {read} more"
        if annotations and read
        else ""
    )
    lines = [
        f"Of {quality.labelled + quality.unlabelled} selected concepts, {truth} "
        f"decide{'s' if synthetic else ''} {quality.labelled - read}{by_model}; of the others "
        f"nothing here is known. {_found('The text finds', text)}"
    ]
    if grounded:
        lines[0] += f" {_found('Grounding functions find', list(grounded.values()))}"
        if left := quality.labelled - len(grounded):
            they = "concept has" if left == 1 else "concepts have"
            lines[0] += (
                f" {left} labelled {they} too few answers among the training images for a function "
                "and only the text's score."
            )
    if by_model:
        lines.append(
            "What is said of annotated concepts holds the model's reading for the truth, which it "
            "need not be: how far it agrees with itself and with columns stands under Annotations."
        )
    if synthetic:
        lines.append("The images are synthetic: this is about the drawing, not about skin.")
    return lines


def _found(who: str, findings: Sequence[ConceptFinding]) -> str:
    areas = [f.auroc.value for f in findings if f.auroc]
    if not areas:
        return f"{who} none that varies among the test images."
    found = sum(f.is_found for f in findings)
    within = [f.within_class_auroc.value for f in findings if f.within_class_auroc]
    apart = f", within classes {median(within):.3f}" if within else ""
    return f"{who} {found} of {len(areas)} (median AUROC {median(areas):.3f}{apart})."


def _concept(text: ConceptFinding, grounded: ConceptFinding | None) -> dict[str, Any]:
    return {
        "text": text.text,
        "decided_by": _decided_by(text),
        "shown": f"{text.present:,} of {text.present + text.absent:,}",
        "auroc": text.auroc,
        "is_found": text.is_found,
        "p_value": "" if text.family_p_value is None else f", p = {text.family_p_value:.3f}",
        "chance": plain(text.chance_95),
        "within": text.within_class_auroc,
        "precision": text.normalised_ap,
        "grounded": grounded.auroc if grounded else None,
        "grounded_within": grounded.within_class_auroc if grounded else None,
        "importance": f"{text.importance:.1%}",
    }


def _decided_by(finding: ConceptFinding) -> str:
    if not is_column(finding.labels_from):
        return f"annotated from {finding.labels_from}"
    return f"{'not ' if finding.denied else ''}{finding.attribute.replace('_', ' ')}"


def _head_columns(heads: Sequence[HeadConcepts]) -> list[str]:
    counts = sorted({e.reasons for h in heads for e in h.existence})
    return [
        *(f"CEM, {n} strongest" if n > 1 else "CEM, strongest" for n in counts),
        *dict.fromkeys(_MATCHES[m.of] for h in heads for m in h.importance),
    ]


def _head(head: HeadConcepts, columns: Sequence[str]) -> dict[str, Any]:
    cells = {
        f"CEM, {e.reasons} strongest" if e.reasons > 1 else "CEM, strongest": {
            "value": f"{e.share.value:.3f}",
            "span": f"{e.share.low:.3f}–{e.share.high:.3f}",
            "beside": f"at random {e.chance:.3f}",
        }
        for e in head.existence
    }
    cells |= {
        _MATCHES[m.of]: {
            "value": f"{m.value:.3f}",
            "span": "",
            "beside": f"others' truth {m.of_others:.3f}",
        }
        for m in head.importance
    }
    return {"head": head.head, "cells": [cells.get(c) for c in columns]}


def _function(grounded: GroundedConcept) -> dict[str, Any]:
    return {
        "text": grounded.text,
        "annotated": "" if is_column(grounded.labels_from) else grounded.labels_from,
        "present": f"{grounded.present:,}",
        "absent": f"{grounded.absent:,}",
        "auroc": plain(grounded.auroc),
        "text_auroc": plain(grounded.text_auroc),
        "random_95": plain(grounded.random_95),
        "p_value": plain(grounded.p_value),
    }
