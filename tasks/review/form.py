"""Decisions as a form: one choice for each concept that gates were unsure of."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from curette.schemas.candidates import Candidate
from curette.schemas.images import ClassLabel
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import ScreenedSet, Unsure
from curette.schemas.settings.review import ReviewSpec
from curette.tasks.review.decisions import undecided

Choice = Literal["undecided", "keep", "drop"]


@dataclass(frozen=True)
class Question:
    """A concept that a gate was unsure of, and what became of it."""

    concept: Candidate
    unsure: Unsure
    now: str

    @property
    def field(self) -> str:
        """Its name on the form, in which nothing stands that anybody wrote."""
        return f"c_{self.concept.concept_id}"


def open_questions(screened: ScreenedSet, decisions: Decisions) -> list[Question]:
    """Return what a person may be asked about, the least sure first."""
    concepts = {c.concept_id: (c, "Kept so far.") for c in screened.kept}
    concepts |= {
        d.candidate.concept_id: (d.candidate, f"Dropped: {d.reason}.") for d in screened.dropped
    }
    return [
        Question(concepts[unsure.concept_id][0], unsure, concepts[unsure.concept_id][1])
        for unsure in undecided(screened, decisions)
        if unsure.concept_id in concepts
    ]


def form_fields(
    asked: Sequence[Question], classes: Sequence[ClassLabel], spec: ReviewSpec
) -> dict[str, Any]:
    """Return the fields of a pydantic model: a choice a question, then who decided and why.

    A concept's words can be anything; they are titles, which are shown as plain text.
    """
    names = {label.key: label.name for label in classes}
    fields: dict[str, tuple[object, dict[str, Any]]] = {
        q.field: (
            Choice,
            {
                "default": "undecided",
                "title": _plain(q.concept.text),
                "description": _describe(q, names),
            },
        )
        for q in asked
    }
    fields["reviewer"] = (
        str,
        {
            "default": spec.reviewer or ...,
            "title": "Reviewer",
            "description": "who decided; repeated in the card and the report",
            "min_length": 1,
            "max_length": 200,
        },
    )
    fields["comment"] = (
        str,
        {
            "default": "",
            "title": "Comment",
            "description": "why; kept with each of these decisions",
            "max_length": 2000,
        },
    )
    # JSON has no order: the Prefect UI sorts by the position.
    return {
        name: (kind, Field(**settings, json_schema_extra={"position": place}))
        for place, (name, (kind, settings)) in enumerate(fields.items())
    }


def read_form(
    answer: Mapping[str, str], asked: Sequence[Question], spec: ReviewSpec, today: str
) -> tuple[Decision, ...]:
    """Return the decisions that a form was sent with; what is left undecided is none."""
    return tuple(
        Decision.model_validate(
            {
                "concept_id": q.concept.concept_id,
                "text": q.concept.text,
                "verdict": answer[q.field],
                "reviewer": answer["reviewer"].strip() or spec.reviewer or "unnamed",
                "reason": answer["comment"].strip(),
                "decided_on": today,
            }
        )
        for q in asked
        if answer[q.field] != "undecided"
    )


def _describe(question: Question, names: Mapping[str, str]) -> str:
    unsure, classes = question.unsure, question.concept.classes
    of = ", ".join(names.get(key, key) for key in classes)
    return _unmarked(
        f"{unsure.gate.replace('_', ' ')}, {unsure.sure:.0%} sure: {unsure.why}. {question.now} "
        f"Proposed for {of}."
    )


def _plain(text: str) -> str:
    """Return a text on one line, without what cannot be seen."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


_MARKS = str.maketrans("<>[]`*_~|&\\@#", "‹›()ˋ∗＿∼¦＆＼＠＃")


def _unmarked(text: str) -> str:
    """Return a text that reads the same as Markdown and as plain text: look-alikes for marks.

    One of Prefect's two UIs takes descriptions for Markdown and links what looks like an address;
    the other would show the backslashes of an escaped text.
    """
    shown = _plain(text).translate(_MARKS).replace("://", "∶//")
    return re.sub(r"(?i)www\.", "www․", shown)
