"""What did a model read in reports or see in images, and how far can that be trusted?"""

from collections import Counter
from typing import Any

from curette.schemas.annotations import AnnotatedConcept, AnnotationFacts
from curette.tasks.methods.page.numbers import plain
from curette.tasks.report.material import Draft

_NOTE = (
    "Images by what the model says of {them}. It agrees with itself where {one} was "
    "asked about twice, in other words and with the list turned round; these are a "
    "drawn share and, for concepts that few of them decide, more whose first answer does; decided "
    "twice are those of which both answers say present or absent. Kappa is Cohen's, the lower of "
    "that of all three answers and that of present against absent. Where a column of the data "
    "decides a concept, the column is used, and the model's first answers are held against it on "
    "images outside the test split."
)

_BY_CLASS = (
    " Whoever goes by the class calls a concept present on all images of the classes that it was "
    "proposed for and on no other: labels that agree with that, and with the column no better, are "
    "the classes again."
)
_NAMED = {
    "reports": {"them": "their reports", "one": "a report", "source": "what somebody wrote"},
    "images": {"them": "them", "one": "an image", "source": "pictures"},
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return who read which reports and how well; None where nobody did."""
    facts = draft.material.published.facts.annotations
    if facts is None:
        return None
    reasons = Counter(failure.reason for failure in facts.failures)
    return {
        "meaning": f"A model read {facts.reports:,} {facts.reads}; its labels of "
        f"{len(facts.used)} of {len(facts.concepts)} concepts agree with themselves well enough to "
        "be used.",
        "overview": _overview(facts),
        "note": _NOTE.format(**_NAMED[facts.reads]) + (_BY_CLASS if facts.side else ""),
        "untold": "cannot tell" if facts.reads == "images" else "not mentioned",
        "by_class": facts.reads == "images",
        "used": len(facts.used),
        "concepts": [_concept(c) for c in facts.concepts],
        "failed": f"{len(facts.failures):,} of {facts.questions:,}",
        "failures": [{"reason": r, "count": f"{n:,}"} for r, n in reasons.most_common()],
    }


def _overview(facts: AnnotationFacts) -> list[str]:
    lines = [
        f"The labels below were {facts.source}. They are a model's reading of "
        f"{_NAMED[facts.reads]['source']}, and no ground truth by themselves.",
        _what_was_read(facts),
        f"{facts.checked_reports:,} {facts.reads} were asked about twice, not each about all "
        f"concepts. A concept is used where both answers agree with a kappa of {facts.min_kappa:g} "
        f"at least, and on enough {facts.reads} for that to be more than chance. "
        f"Answers that their second contradicts, and that do not count: {facts.contradicted:,}.",
    ]
    if facts.cut:
        lines.append(f"{facts.cut:,} reports were too long and were cut before they were sent.")
    against = [c.column for c in facts.concepts if c.column and c.column.accuracy is not None]
    if against:
        images = sum(column.images for column in against)
        right = sum(column.images * (column.accuracy or 0) for column in against) / images
        lines.append(
            "Where columns of the data know better, the first answers agree with them in "
            f"{right:.1%} of {images:,} cases ({len(against)} of the concepts)."
        )
    return lines


def _what_was_read(facts: AnnotationFacts) -> str:
    if facts.reads == "images":
        test = "Test images were sent too" if facts.test_images else "No test image was sent"
        return (
            f"{facts.reports:,} different images were sent, of {facts.side} pixels at most and "
            f"without what their files say besides; not asked about: {facts.images_without:,}. "
            f"{test}. What the model cannot tell counts as unknown."
        )
    silence = "absent, as the study wants it" if facts.not_mentioned == "absent" else "unknown"
    return (
        f"{facts.reports:,} different reports of {facts.images:,} images were read; "
        f"images without one that was: {facts.images_without:,}. What a report does not mention "
        f"counts as {silence}."
    )


def _concept(concept: AnnotatedConcept) -> dict[str, Any]:
    by = concept.column
    return {
        "text": concept.text,
        "present": f"{concept.present:,}",
        "absent": f"{concept.absent:,}",
        "not_mentioned": f"{concept.not_mentioned:,}",
        "unanswered": f"{concept.unanswered:,}",
        "checked": f"{concept.checked:,}",
        "decided": f"{concept.decided:,}",
        "agreement": plain(concept.agreement, 2),
        "kappa": plain(concept.kappa, 2),
        "accuracy": plain(by.accuracy if by else None, 2),
        "column_kappa": plain(by.kappa if by else None, 2),
        "class_column_kappa": plain(by.class_kappa if by else None, 2),
        "class_kappa": plain(concept.class_kappa, 2),
        "why_unused": concept.why_unused,
    }
