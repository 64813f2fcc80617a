"""Decisions as a form: a choice for each concept that gates were unsure of, a line for each name.

What was found among images and has no name is asked about by its pictures.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from curette.schemas.candidates import Candidate, DiscoveredOrigin, normal_form
from curette.schemas.images import ClassLabel
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import ScreenedSet, Unsure
from curette.schemas.settings.review import ReviewSpec
from curette.tasks.review.decisions import undecided

_LONGEST_NAME = 250
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


@dataclass(frozen=True)
class Nameless:
    """A concept that was found among images and that no words name yet."""

    concept: Candidate
    found: DiscoveredOrigin

    @property
    def field(self) -> str:
        """Its name on the form."""
        return f"n_{self.concept.concept_id}"


def open_names(screened: ScreenedSet, decisions: Decisions) -> list[Nameless]:
    """Return what was found, is unnamed and undecided about, the most frequent first."""
    decided = {d.concept_id for d in decisions.decisions}
    nameless = [
        Nameless(c, c.found)
        for c in screened.kept
        if c.found and not c.found.name and c.concept_id not in decided
    ]
    return sorted(nameless, key=lambda n: n.found.number)


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
    asked: Sequence[Question],
    classes: Sequence[ClassLabel],
    spec: ReviewSpec,
    names: Sequence[Nameless] = (),
) -> dict[str, Any]:
    """Return the fields of a pydantic model: a choice a question, names, who decided and why.

    A concept's words can be anything; they are titles, which are shown as plain text.
    """
    called = {label.key: label.name for label in classes}
    fields: dict[str, tuple[object, dict[str, Any]]] = {
        q.field: (
            Choice,
            {
                "default": "undecided",
                "title": _plain(q.concept.text),
                "description": _describe(q, called),
            },
        )
        for q in asked
    }
    fields |= {
        n.field: (
            str,
            {
                "default": "",
                "title": f"What do the images of \u201c{_plain(n.concept.text)}\u201d show?",
                "description": "Your words become its name. keep: it stays unnamed and is not "
                "asked about again; drop: it goes; empty: undecided.",
                "max_length": _LONGEST_NAME,
            },
        )
        for n in names
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
    answer: Mapping[str, str],
    asked: Sequence[Question],
    spec: ReviewSpec,
    today: str,
    names: Sequence[Nameless] = (),
) -> tuple[Decision, ...]:
    """Return the decisions that a form was sent with; what is left undecided is none.

    Where several are given one name, each has its number behind it: `pale rim (found 3)`.
    """

    def decided(concept: Candidate, verdict: str, new_text: str = "") -> Decision:
        return Decision.model_validate(
            {
                "concept_id": concept.concept_id,
                "text": concept.text,
                "verdict": verdict,
                "new_text": new_text,
                "reviewer": answer["reviewer"].strip() or spec.reviewer or "unnamed",
                "reason": answer["comment"].strip(),
                "decided_on": today,
            }
        )

    said = {n.field: _plain(answer[n.field]) for n in names}
    times = Counter(map(normal_form, said.values()))
    made = [decided(q.concept, answer[q.field]) for q in asked if answer[q.field] != "undecided"]
    for n in names:
        name = said[n.field]
        form = normal_form(name)
        if form in {"keep", "drop"}:
            made.append(decided(n.concept, form))
        elif form and form != normal_form(n.concept.text):
            again = f" (found {n.found.number})" if times[form] > 1 else ""
            made.append(decided(n.concept, "reword", name + again))
    return tuple(made)


def _describe(question: Question, names: Mapping[str, str]) -> str:
    unsure, classes = question.unsure, question.concept.classes
    of = ", ".join(names.get(key, key) for key in classes)
    return unmarked(
        f"{unsure.gate.replace('_', ' ')}, {unsure.sure:.0%} sure: {unsure.why}. {question.now} "
        f"Proposed for {of}."
    )


def _plain(text: str) -> str:
    """Return a text on one line, without what cannot be seen."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


_MARKS = str.maketrans("<>[]`*_~|&\\@#", "‹›()ˋ∗＿∼¦＆＼＠＃")


def unmarked(text: str) -> str:
    """Return a text that reads the same as Markdown and as plain text: look-alikes for marks.

    One of Prefect's two UIs takes descriptions for Markdown and links what looks like an address;
    the other would show the backslashes of an escaped text.
    """
    shown = _plain(text).translate(_MARKS).replace("://", "∶//")
    return re.sub(r"(?i)www\.", "www․", shown)
