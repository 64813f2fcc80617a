"""Ask a model what one report says, or one image shows, of some concepts, and take only that.

One question holds one report and some statements, and its answer is one of three words for each.
Among the statements stands one that no report makes: whoever says that it is there, or denied, has
not gone by the report, be it that a report told the model what to answer, or that the model takes
silence for a denial. Nothing of such an answer is used. The same statement is in no image, so that
there only who calls it present has not gone by the image.

An image stands in for a report by the sha256 of its file.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from string import Template
from typing import Final, Literal

from curette.schemas.annotations import ANSWERS, ReportAnswer
from curette.schemas.consent import Sent
from curette.schemas.llm import RequestForecast, Usage
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.llm import LlmSpec
from curette.tasks.methods.llm.asking import Answered, AnswerForm, Answers, Question, ask, usage_of
from curette.tasks.methods.llm.each import Each, each_form
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.methods.llm.shown import Pictures, picture_name, picture_tokens
from curette.tasks.methods.llm.tokens import count_tokens

_PROMPTS: Final = Path(__file__).parent / "prompts"
_LONGEST_STATEMENT: Final = 300
_SIGNS: Final = str.maketrans("<>", "‹›")
FEWEST_CHECKED: Final = 50
"""Reports drawn to be asked about twice where there are as many: of fewer, kappa says little."""
FEWEST_OF_EACH: Final = 20
"""Reports called present, and called absent, that are asked about twice where there are as many.

A concept of every fiftieth report is decided by one or two of fifty that are drawn at random.
"""
_COUNTED_REPORTS: Final = 50  # whose tokens an estimate counts

_UNTOLD: Final = "cannot tell"  # of an image; kept as what a report does not mention

Turn = Literal["first", "second"]
Said = Mapping[str, Mapping[int, ReportAnswer]]
"""Report -> place of a concept -> answer."""


@dataclass(frozen=True)
class Inquiry:
    """One request: a report and some concepts, in the order of its list."""

    report: str
    """As it is sent: bounded, on one line; of an image, the sha256 of its file."""
    turn: Turn
    listed: tuple[int | None, ...]
    """Places of the concepts; None where the planted statement stands."""
    prompt: str


@dataclass(frozen=True)
class Reading:
    """What one answer says: place of a concept -> answer; nothing where it cannot be used."""

    answers: Mapping[int, ReportAnswer]
    problem: str = ""


@dataclass(frozen=True)
class Outcome:
    """All readings, in the order of the inquiries."""

    inquiries: tuple[Inquiry, ...]
    readings: tuple[Reading, ...]
    model: str
    """The one that the server says has answered."""
    usage: Usage

    @property
    def said(self) -> Said:
        """What the model says of each report."""
        said: dict[str, dict[int, ReportAnswer]] = {}
        for inquiry, reading in zip(self.inquiries, self.readings, strict=True):
            said.setdefault(inquiry.report, {}).update(reading.answers)
        return said


def as_sent(text: str, limit: int) -> str:
    """Return a report or a statement as it stands in a prompt: it cannot leave its marks.

    Its `<` and `>` become `‹` and `›`, which close no mark; the prompt says what they stand for,
    since a diameter below 6 mm is not one above.
    """
    return quotable(text.translate(_SIGNS), limit)


def write_inquiries(
    report: str, texts: Sequence[str], turn: Turn, spec: AnnotateSpec, modality: str
) -> list[Inquiry]:
    """Return the requests about one report; the second turn has other words and turns lists round.

    Which statement is planted and where depends on the report, so no report can know.
    """
    found = []
    for group in _groups(len(texts), spec):
        dealer = random.Random(f"{turn} {group.start} {report}")
        listed: list[int | None] = [*(group if turn == "first" else reversed(group))]
        listed.insert(dealer.randrange(len(listed) + 1), None)
        planted = dealer.choice(planted_statements())
        statements = [planted if place is None else texts[place] for place in listed]
        prompt = _prompt(report, statements, turn, spec, modality)
        found.append(Inquiry(report, turn, tuple(listed), prompt))
    return found


def write_second_inquiries(
    first: Said, checkable: Sequence[str], texts: Sequence[str], spec: AnnotateSpec, modality: str
) -> tuple[Inquiry, ...]:
    """Return the requests that check the first answers.

    Besides the reports that are drawn, a question is asked again of as many as it takes to have
    `FEWEST_OF_EACH` first answers `present`, and as many `absent`, about each of its concepts.
    Such a choice by first answers leaves a second one that is guessed as independent as it is.

    Args:
        first: the first answers.
        checkable: the reports that may be asked about again, in their drawn order.
        texts: the concepts.
        spec: how many are drawn.
        modality: what the images are.
    """
    chosen = [_asked_again(first, checkable, group, spec) for group in _groups(len(texts), spec)]
    return tuple(
        inquiry
        for report in checkable
        if any(report in reports for reports in chosen)
        for inquiry, reports in zip(
            write_inquiries(report, texts, "second", spec, modality), chosen, strict=True
        )
        if report in reports
    )


def _asked_again(
    first: Said, checkable: Sequence[str], group: range, spec: AnnotateSpec
) -> frozenset[str]:
    chosen = set(checkable[: count_drawn(len(checkable), spec)])
    for place in group:
        for answer in ("present", "absent"):
            giving = [r for r in checkable if first.get(r, {}).get(place) == answer]
            others = [r for r in giving if r not in chosen]
            chosen.update(others[: max(0, FEWEST_OF_EACH - len(giving) + len(others))])
    return frozenset(chosen)


def _groups(concepts: int, spec: AnnotateSpec) -> list[range]:
    """Return the places of the concepts that stand in a question together."""
    size = spec.statements_per_question
    return [range(start, min(start + size, concepts)) for start in range(0, concepts, size)]


def read_reports(
    inquiries: Sequence[Inquiry],
    spec: AnnotateSpec,
    llm: LlmSpec,
    answers: Answers,
    spent: Usage,
    advance: Callable[[int], None],
    pictures: Pictures | None = None,
) -> Outcome:
    """Ask everything that is not answered yet.

    Raises:
        StudyError: the server refuses or fails, or the study's budget is spent. What the server
            says is not in it, since that may repeat a report.
    """
    questions = [
        Question(
            i.prompt,
            answers_form(len(i.listed), spec.reads),
            picture=picture_name(i.report, spec.image_side) if spec.reads == "images" else "",
        )
        for i in inquiries
    ]
    answered = ask(
        questions, llm, answers, spent, advance, secrecy="confidential", pictures=pictures
    )
    models = Counter(a.response.model or llm.model for a in answered)
    return Outcome(
        inquiries=tuple(inquiries),
        readings=tuple(_reading(a, i, spec) for a, i in zip(answered, inquiries, strict=True)),
        model=models.most_common(1)[0][0] if models else llm.model,
        usage=usage_of(answered, llm),
    )


def answers_form(count: int, reads: Sent = "reports") -> AnswerForm[Each]:
    """Return the form of answers about so many statements."""
    if reads == "images":
        return each_form("image_answers", count, (*ANSWERS[:2], _UNTOLD))
    return each_form("report_answers", count, ANSWERS)


def read_answers(
    answers: Each,
    listed: Sequence[int | None],
    not_mentioned: Literal["unknown", "absent"],
    reads: Sent = "reports",
) -> Reading:
    """Return what an answer says of each concept, or why nothing of it can be used.

    Where a report's silence is taken for absence, the planted statement may be called absent; of an
    image it is.
    """
    said: dict[int | None, ReportAnswer] = {}
    for number, word in answers.words.items():
        told = "not mentioned" if word == _UNTOLD else word
        said[listed[number - 1]] = told  # type: ignore[assignment] # the form knows no other words
    planted = said.pop(None)
    denied = planted == "absent" and not_mentioned == "unknown" and reads == "reports"
    if planted == "present" or denied:
        does = "report makes" if reads == "reports" else "image shows"
        return Reading(
            {},
            f"a control statement that no {does} was called {planted}, so the answer does "
            f"not go by the {reads[:-1]}",
        )
    return Reading({place: answer for place, answer in said.items() if place is not None})


def count_drawn(reports: int, spec: AnnotateSpec) -> int:
    """Return how many of so many reports are asked about twice whatever they say."""
    return min(reports, max(FEWEST_CHECKED, ceil(spec.checked_share * reports)))


def in_drawn_order(reports: Sequence[str]) -> list[str]:
    """Return different reports in an order that has nothing to do with what they say.

    It stays as it is when others join them, so that answers are found again.
    """
    return sorted(set(reports), key=_sha256)


def forecast_annotating(
    reports: Sequence[str], concepts_at_most: int, spec: AnnotateSpec, modality: str, llm: LlmSpec
) -> RequestForecast:
    """Return what reading reports will cost for as many concepts as can be selected."""
    looks = spec.reads == "images"
    sent = in_drawn_order(
        reports if looks else [as_sent(text, spec.longest_report) for text in reports]
    )[: spec.max_reports]
    size = min(spec.statements_per_question, concepts_at_most)
    usual = ["irregular dark streaks at the outer edge"] * size
    counted = [
        count_tokens(inquiry.prompt, llm.model)
        for report in sent[:_COUNTED_REPORTS]
        for inquiry in write_inquiries(report, usual, "first", spec, modality)
    ]
    answer = json.dumps({str(n): "not mentioned" for n in range(1, size + 2)})
    shown = picture_tokens(spec.image_side) if looks else 0
    groups = _groups(concepts_at_most, spec)
    drawn = count_drawn(len(sent), spec)
    return RequestForecast(
        name=spec.reads,
        fewest=len(sent),
        most=sum(len(sent) + min(len(sent), drawn + 2 * FEWEST_OF_EACH * len(g)) for g in groups),
        stored=None,
        prompt_tokens_each=shown + sum(counted) / len(counted) if counted else 0.0,
        completion_tokens_each=llm.expected_tokens(count_tokens(answer, llm.model)),
        note=f"{len(sent):,} different {spec.reads}, some asked about twice; depends on how many "
        f"concepts are selected, and on how many {spec.reads} must be asked about again to have "
        "enough that decide each",
    )


@cache
def planted_statements() -> tuple[str, ...]:
    """Return statements that no report about a medical image makes."""
    return tuple(_read("planted").splitlines())


# --- prompts and answers ------------------------------------------------------------------------


def _prompt(
    report: str, statements: Sequence[str], turn: Turn, spec: AnnotateSpec, modality: str
) -> str:
    of = "" if spec.reads == "reports" else "_image"
    first, second = _read(f"wordings{of}").splitlines()
    return Template(_read(f"question{of}")).substitute(
        modality=quotable(modality),
        report=report,
        statements="\n".join(
            f"{number}. {as_sent(text, _LONGEST_STATEMENT)}"
            for number, text in enumerate(statements, start=1)
        ),
        question=first if turn == "first" else second,
        example=answers_form(len(statements), spec.reads).example,
    )


@cache
def _read(name: str) -> str:
    return (_PROMPTS / f"{name}.md").read_text(encoding="utf-8")


def _reading(answered: Answered[Each], inquiry: Inquiry, spec: AnnotateSpec) -> Reading:
    if answered.answer is None:
        return Reading({}, answered.problem)
    return read_answers(answered.answer, inquiry.listed, spec.not_mentioned, spec.reads)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
