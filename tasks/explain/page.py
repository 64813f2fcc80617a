"""What the page about single decisions says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import HeadFacts
from curette.tasks.explain.corrections import Corrections, WhatIf
from curette.tasks.explain.subjects import Subject
from curette.tasks.methods.explanation import (
    ConceptPart,
    Example,
    Explainer,
    ImageExplanation,
    printable,
)
from curette.tasks.methods.page.decision import LEARNED, compose_decision, more_or_less, standing
from curette.tasks.methods.page.numbers import plain, signed
from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.methods.page.render import render
from curette.tasks.methods.predictions import UNLIKE_SHARE

TEMPLATES = Path(__file__).parent / "templates"
_SUBJECT_PX = 480
_SEEN = 3  # concepts whose heat is drawn, of those that the image shows more than usual
_COUNTS = 0.1  # of the strongest: one that counts for less is not drawn
_NAMED = 2  # concepts in the sentence

Heat = Callable[[Image.Image, Sequence[ConceptPart]], Sequence[Image.Image]]
"""From an image and concepts to a picture for each of where it is seen."""


@dataclass(frozen=True)
class Explained:
    """An image and the decision about it."""

    subject: Subject
    decision: ImageExplanation
    unlike: bool
    """Whether nothing that the head was trained on is as like it as training images are."""
    what_if: WhatIf | None = None
    """The decision with corrections, where some were asked about."""

    @property
    def sentence(self) -> str:
        """What was decided, and mainly by what."""
        first, second = self.decision.decision, self.decision.runner_up
        named = [
            more_or_less(p.score > p.mean, p.text)
            for p in self.decision.parts[:_NAMED]
            if p.ahead > 0
        ]
        said = (
            f"Decided as {first.name} ({first.probability:.0%}), ahead of {second.name} "
            f"({second.probability:.0%})"
        )
        if not named:
            return f"{said}."
        return f"{said}, mainly because it shows {' and '.join(named)} than usual."


def explain_subject(
    explainer: Explainer, subject: Subject, corrections: Corrections | None = None
) -> Explained:
    """Return the decision about an image, and whether the head has seen anything like it."""
    e = explainer.explain(subject.vector, subject.group)
    unlike = bool(e.nearest) and e.nearest[0].score < explainer.least_usual
    what_if = corrections.ask(subject.vector) if corrections else None
    return Explained(subject, e, unlike, what_if)


def corrected_sentence(what_if: WhatIf) -> str:
    """Say what would be decided with the corrections, and what was before."""
    said = " and ".join(
        f"“{m.text}” is {'there' if m.after else 'not there'} (read at {m.before:.0%})"
        for m in what_if.corrected
    )
    first = what_if.answers[0]
    before = max(what_if.answers, key=lambda m: m.before)
    if first is before:
        return f"If {said}, it stays {first.text}: {first.after:.0%}, before {first.before:.0%}."
    return (
        f"If {said}, it is {first.text} ({first.after:.0%}, before {first.before:.0%}) and no "
        f"longer {before.text} ({before.after:.0%}, before {before.before:.0%})."
    )


def unlike_notice(unlike: bool) -> str:
    """Say what it means that an image is unlike what was trained on."""
    if not unlike:
        return ""
    return (
        "Unlike anything that the head was trained on: do not rely on this decision. Of images "
        f"like the training images {UNLIKE_SHARE:.0%} would be called so."
    )


def explanation_page(
    published: ConceptDataset,
    explained: Sequence[Explained],
    book: PictureBook,
    heat: Heat | None,
    head: HeadFacts,
) -> str:
    """Return the page.

    Args:
        published: what the head was trained on.
        explained: the decisions, in their order on the page.
        book: makes the thumbnails of training images.
        heat: draws where concepts are seen; None where nothing can.
        head: what is known of the head.
    """
    page = {
        "name": printable(published.facts.name),
        "head": head.name,
        "notices": notices(published, head.edits),
        "images": [_composed(i + 1, x, book, heat) for i, x in enumerate(explained)],
    }
    return render(
        "explanations.html.j2", [TEMPLATES], page=page | {"pictures": book.shown, "beside": ""}
    )


def notices(published: ConceptDataset, edits: Sequence[str]) -> list[str]:
    """Return what a reader must know before any decision."""
    said = []
    if published.facts.encoder.demo:
        said.append("The encoder is the embedded demo's, which knows only drawn lesions.")
    if not published.facts.encoder.reads_text:
        said.append(LEARNED)
    if edits:
        said.append(changed_since_training(edits))
    return said


def changed_since_training(edits: Sequence[str]) -> str:
    """Say that a head is another than the one that was trained, and in what."""
    return f"The head is not as it was trained: {printable('; '.join(edits))}."


def _composed(number: int, x: Explained, book: PictureBook, heat: Heat | None) -> dict[str, Any]:
    e, pixels, title = x.decision, x.subject.pixels, x.subject.title
    least = _COUNTS * max((abs(p.ahead) for p in e.parts), default=0.0)
    told = [p for p in e.parts if p.ahead > least and p.score > p.mean][:_SEEN]
    seen = heat(pixels, told) if heat and pixels else ()
    decision = compose_decision(
        e,
        {
            "css": book.place(_fitted(pixels)) if pixels else "",
            "alt": f"{title}, decided as {e.decision.name}",
            "name": "",  # it stands above
        },
        tags=[("warn", "unlike anything trained on")] if x.unlike else [],
        heat=[
            {
                "css": book.place(drawn),
                "alt": f"where “{p.text}” is seen on {title}",
                "text": p.text,
            }
            for p, drawn in zip(told, seen, strict=False)
        ],
        nearest=[
            _thumbnail(book, n, f"among the training images most like {title}") for n in e.nearest
        ],
    )
    return {
        "anchor": f"image-{number}",
        "title": title,
        "sentence": x.sentence,
        "about": x.subject.about,
        "unlike": unlike_notice(x.unlike),
        "what_if": _what_if(x.what_if) if x.what_if else None,
        "decision": decision,
        "answers": [
            {
                "name": a.name,
                "probability": f"{a.probability:.1%}",
                "width": 100 * a.probability,
            }
            for a in e.answers
        ],
        "examples": [
            {
                "of": examples.of,
                "pictures": [
                    _thumbnail(book, n, f"among the highest scores for “{examples.of}”")
                    for n in examples.images
                ],
            }
            for examples in e.examples
        ],
        "parts": [
            {
                "text": p.text,
                "ahead": signed(p.ahead),
                "score": plain(p.score),
                "mean": plain(p.mean),
                "standing": standing(p.standing),
            }
            for p in e.parts
        ],
        "rest": signed(e.rest),
        "rest_count": e.rest_count,
        "start": signed(e.start),
        "lead": signed(e.lead),
    }


def _thumbnail(book: PictureBook, example: Example, reason: str) -> dict[str, str]:
    return {
        "css": book.css(example.image_id),
        "alt": f"{example.class_name}: {reason} ({printable(example.image_id)})",
        "label": example.class_name,
    }


def _fitted(pixels: Image.Image) -> Image.Image:
    small = pixels.copy()
    small.thumbnail((_SUBJECT_PX, _SUBJECT_PX))
    return small


def _what_if(w: WhatIf) -> dict[str, Any]:
    return {
        "sentence": corrected_sentence(w),
        "rows": [
            {"kind": kind, "text": m.text, "before": f"{m.before:.1%}", "after": f"{m.after:.1%}"}
            for kind, moved in (("class", w.answers), ("statement", w.others))
            for m in moved
        ],
    }
