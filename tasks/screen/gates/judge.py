"""The judge: a language model votes on what one image can show, and is itself put to the test.

Statements whose answers are known are mixed into every request, one in ten, and nothing tells the
model which they are. A judge that gets them wrong more often than the study allows is not
believed: its votes are kept and drop nothing.
"""

import csv
import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Final, Literal

import numpy as np
from pydantic import Field, model_validator

from curette.schemas.candidates import Candidate
from curette.schemas.llm import RequestForecast, Usage
from curette.schemas.screened import (
    Believed,
    JudgedConcept,
    JudgeReport,
    PlantedStatement,
    Proportion,
    Visibility,
)
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.screen import ScreenSpec
from curette.tasks.methods.llm.agreement import fleiss_kappa
from curette.tasks.methods.llm.asking import AnswerForm, Question
from curette.tasks.methods.llm.each import Each, each_form
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.methods.llm.tokens import count_tokens
from curette.tasks.methods.statistics.judged import rogan_gladen, weigh_verdicts
from curette.tasks.methods.wording.visible import why_not_visual
from curette.tasks.screen.gate import (
    Asking,
    Candidates,
    Circumstances,
    Doubt,
    Finding,
    Gate,
    Outcome,
    doubt_about,
    drop,
)

PLANTED_SHARE: Final = 10
"""At least every tenth statement of a request is a planted one."""
FEWEST_PLANTED: Final = 20
"""In a small run more are planted, so that each share is of ten or more."""

_HERE: Final = Path(__file__).parent.parent
_LONGEST: Final = 300
"""Characters of a statement that go into a prompt."""
_ANSWER_TOKENS: Final = 6
"""Of one verdict, for forecasts: `"10": "yes", `."""

Verdict = Literal["visible", "not_visible", "unjudged"]


class Judge(Gate, frozen=True):
    """A language model that votes on what an image can show, and how it is checked itself."""

    kind: Literal["judge"] = "judge"
    votes: int = Field(default=3, ge=1, le=15, description="a statement; odd, so that none tie")
    statements_per_request: int = Field(
        default=10, ge=2, le=50, description="control statements included"
    )
    min_sensitivity: float = Field(
        default=0.8, ge=0, le=1, description="share of visible control statements called visible"
    )
    min_specificity: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="share of the other control statements not called visible",
    )

    @model_validator(mode="after")
    def _decides(self) -> "Judge":
        if self.votes % 2 == 0:
            raise ValueError("`votes` must be odd: an even number can tie")
        return self

    @property
    def asks(self) -> bool:
        """Whether a language model is needed: always."""
        return True

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Drop what a judge who can be believed calls not visible.

        Raises:
            ValueError: there is no language model to ask.
        """
        if known.ask is None:
            raise ValueError("the gate judge needs a language model")
        if not left:
            return Outcome(left)
        report, usage = hold_vote(left, self, known.ask)
        votes = list(zip(left, report.judged, strict=True))
        against = {v.concept_id for v in report.judged if v.judge == "not_visible"}
        against = against if report.believed else set()
        return Outcome(
            kept=tuple(c for c in left if c.concept_id not in against),
            dropped=tuple(
                drop(c, self.kind, _finding(v)) for c, v in votes if c.concept_id in against
            ),
            unsure=tuple(
                doubt_about(c, self.kind, doubt)
                for c, v in votes
                if report.believed and (doubt := _doubt(v))
            ),
            judge=report,
            usage=usage,
        )


@dataclass(frozen=True)
class Ballot:
    """One request: statements in the order of its list, and the question that asks about them."""

    statements: tuple[str, ...]
    question: Question[Each]


def write_ballots(concepts: Sequence[str], spec: Judge) -> list[Ballot]:
    """Return the requests that bring every statement, planted ones too, `spec.votes` votes.

    In every round all are dealt anew, so that a statement has other neighbours and another place
    each time it is voted on, and the planted ones are dealt one by one, so that every request has
    its share. The same concepts make the same requests.
    """
    ballots = []
    sown = sow(len(concepts), spec)
    requests = math.ceil((len(concepts) + len(sown)) / spec.statements_per_request)
    for vote in range(spec.votes):
        dealer = random.Random(f"ballot {vote}")
        shuffled, planted = [*concepts], [*sown]
        dealer.shuffle(shuffled)
        dealer.shuffle(planted)
        deck = [*planted, *shuffled]
        for request in range(requests):
            listed = deck[request::requests]
            dealer.shuffle(listed)
            question = Question(_prompt(listed), verdicts_form(len(listed)), sample=vote)
            ballots.append(Ballot(tuple(listed), question))
    return ballots


def sow(concepts: int, spec: Judge) -> list[str]:
    """Return the planted statements for so many concepts, visible and not visible in turn.

    Where there are fewer statements than needed, they come again.
    """
    share = min(PLANTED_SHARE, spec.statements_per_request)
    count = max(FEWEST_PLANTED, math.ceil(concepts / (share - 1)))
    order = random.Random("planted")
    visible = [text for text, known in planted_statements().items() if known]
    others = [text for text, known in planted_statements().items() if not known]
    order.shuffle(visible)
    order.shuffle(others)
    in_turn = [text for pair in zip(visible, others, strict=True) for text in pair]
    return [in_turn[i % len(in_turn)] for i in range(count)]


@cache
def planted_statements() -> Mapping[str, bool]:
    """Return the statements with known answers: text -> whether an image can show it."""
    with (_HERE / "planted.csv").open(encoding="utf-8", newline="") as file:
        return {row["text"]: row["visible"] == "yes" for row in csv.DictReader(file)}


def hold_vote(
    candidates: Sequence[Candidate], spec: Judge, ask: Asking
) -> tuple[JudgeReport, Usage]:
    """Return the verdicts on every candidate and on the judge, and what the votes cost.

    A candidate that lacks votes is `unjudged`: an answer that did not come is never a no.
    """
    shown = [quotable(c.text, _LONGEST) for c in candidates]
    ballots = write_ballots(list(dict.fromkeys(shown)), spec)
    answered, usage = ask([ballot.question for ballot in ballots])
    votes: defaultdict[str, list[bool | None]] = defaultdict(list)
    for ballot, answer in zip(ballots, answered, strict=True):
        for text, vote in zip(
            ballot.statements, read_votes(answer.answer, len(ballot.statements)), strict=True
        ):
            votes[text].append(vote)
    judged = tuple(_judged(c, votes[text]) for c, text in zip(candidates, shown, strict=True))
    planted = tuple(
        _planted(text, visible, votes[text])
        for text, visible in planted_statements().items()
        if text in votes
    )
    problems = tuple(answer.problem for answer in answered if answer.problem)
    model = next((a.response.model for a in answered if a.answer is not None), "")
    return report_on(judged, planted, spec, model, problems), usage


def verdicts_form(count: int) -> AnswerForm[Each]:
    """Return the form of verdicts on so many statements: `yes` where an image can show it."""
    return each_form("verdicts", count, ("yes", "no"))


def read_votes(answer: Each | None, count: int) -> list[bool | None]:
    """Return the votes on `count` statements; None for all where no whole answer came."""
    if answer is None:
        return [None] * count
    words = answer.words
    return [words[number] == "yes" for number in range(1, count + 1)]


def report_on(
    judged: Sequence[JudgedConcept],
    planted: Sequence[PlantedStatement],
    spec: Judge,
    model: str,
    problems: Sequence[str],
) -> JudgeReport:
    """Return whether a judge can be believed by what it said of the planted statements.

    They are judged as concepts are, by most of their votes; one without enough votes counts
    neither for the judge nor against it, but more than half of each kind must have been judged.
    """
    said = Counter((p.visible, _verdict(p.yes, p.no, p.asked)) for p in planted)
    sensitivity = wilson(said[True, "visible"], said[True, "visible"] + said[True, "not_visible"])
    specificity = wilson(
        said[False, "not_visible"], said[False, "visible"] + said[False, "not_visible"]
    )
    found = (
        f"it called {_in_words(sensitivity)} of the visible control statements visible (the study "
        f"asks for {spec.min_sensitivity:.0%}), and {_in_words(specificity)} of the others not "
        f"visible (the study asks for {spec.min_specificity:.0%})"
    )
    asked = Counter(p.visible for p in planted)
    believed = (
        2 * sensitivity.of > asked[True]
        and 2 * specificity.of > asked[False]
        and sensitivity.share >= spec.min_sensitivity
        and specificity.share >= spec.min_specificity
    )
    visibility, why_none = worth_of(judged, sensitivity, specificity)
    complete = [(v.yes, v.no) for v in judged if v.yes + v.no == spec.votes]
    name = f"the judge {model}" if model else "the judge, which gave no usable answer,"
    return JudgeReport(
        model=model,
        votes=spec.votes,
        sensitivity=sensitivity,
        specificity=specificity,
        min_sensitivity=spec.min_sensitivity,
        min_specificity=spec.min_specificity,
        believed=believed,
        verdict=f"{name} is {'' if believed else 'not '}believed: {found}"
        + ("" if believed else "; its votes drop nothing"),
        kappa=fleiss_kappa(np.array(complete, dtype=np.int64).reshape(-1, 2)),
        visibility=visibility,
        why_no_visibility=why_none,
        judged=tuple(judged),
        planted=tuple(planted),
        problems=tuple(problems),
    )


def worth_of(
    judged: Sequence[JudgedConcept], sensitivity: Proportion, specificity: Proportion
) -> tuple[Visibility | None, str]:
    """Return how likely a statement is visible after each verdict, or why none says anything.

    Only statements with a verdict count. How wrong the judge is, is known from control statements
    alone: where they are easier than the others, it is worse than is said here.
    """
    said = Counter(v.judge for v in judged)
    positive, pool = said["visible"], said["visible"] + said["not_visible"]
    if not (pool and sensitivity.of and specificity.of):
        return None, "too few statements have a verdict"
    apparent = wilson(positive, pool)
    corrected = rogan_gladen(apparent.share, sensitivity.share, specificity.share)
    if corrected is None:
        return None, (
            "its verdicts tell nothing: it calls visible control statements visible no more often "
            f"than the others (sensitivity and specificity are {sensitivity.share:.2f} and "
            f"{specificity.share:.2f}, together no more than 1)"
        )
    right = ((sensitivity.count, sensitivity.of), (specificity.count, specificity.of))
    found = weigh_verdicts(positive, pool, *right)
    if found is None:
        return None, (
            "its verdicts on the statements do not go with those on the control statements, so "
            "that these do not tell how wrong it is"
        )
    return Visibility(
        verdicts=apparent,
        share=Believed(**asdict(found.share)),
        rogan_gladen=corrected,
        called_visible=Believed(**asdict(found.if_positive)),
        called_not_visible=Believed(**asdict(found.if_negative)),
    ), ""


def forecast_judging(count_at_most: int, spec: ScreenSpec, llm: LlmSpec) -> RequestForecast | None:
    """Return what the judge will cost for at most so many candidates; None where none is asked."""
    judge = next((gate for gate in spec.gates if isinstance(gate, Judge)), None)
    if judge is None:
        return None
    size = judge.statements_per_request
    sample = (list(planted_statements()) * size)[:size]
    known = count_at_most + len(sow(count_at_most, judge)) if count_at_most else 0
    guess = _ANSWER_TOKENS * (size + 1)
    return RequestForecast(
        name="judge of the screen",
        stored=None,
        fewest=0,
        most=judge.votes * math.ceil(known / size),
        prompt_tokens_each=float(count_tokens(_prompt(sample), llm.model)),
        completion_tokens_each=llm.expected_tokens(guess),
        note="depends on how many candidates reach the judge",
    )


# --- numbers -------------------------------------------------------------------------------------


def wilson(count: int, of: int) -> Proportion:
    """Return a proportion with its 95 % interval after Wilson (JASA 22, 1927).

    With p = count / of, n = of and z = 1.96,

        (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    and the whole of [0, 1] where n = 0.
    """
    if of == 0:
        return Proportion(count=0, of=0, low=0, high=1)
    p, z2 = count / of, 1.959964**2 / of
    middle, half = p + z2 / 2, math.sqrt(z2 * (p * (1 - p) + z2 / 4))
    low, high = (middle - half) / (1 + z2), (middle + half) / (1 + z2)
    return Proportion(count=count, of=of, low=max(0.0, low), high=min(1.0, high))


# --- votes ---------------------------------------------------------------------------------------


def _verdict(yes: int, no: int, asked: int) -> Verdict:
    """Return what more than half of all votes asked for say, those that never came included."""
    if 2 * yes > asked:
        return "visible"
    return "not_visible" if 2 * no > asked else "unjudged"


def _judged(candidate: Candidate, votes: Sequence[bool | None]) -> JudgedConcept:
    yes, no = votes.count(True), votes.count(False)
    why = why_not_visual(candidate.text)
    return JudgedConcept(
        concept_id=candidate.concept_id,
        text=candidate.text,
        yes=yes,
        no=no,
        asked=len(votes),
        judge=_verdict(yes, no, len(votes)),
        rules="not_visible" if why else "visible",
        rules_reason=why.meaning if why else "",
    )


def _planted(text: str, visible: bool, votes: Sequence[bool | None]) -> PlantedStatement:
    return PlantedStatement(
        text=text,
        visible=visible,
        yes=votes.count(True),
        no=votes.count(False),
        asked=len(votes),
    )


def _finding(votes: JudgedConcept) -> Finding:
    return Finding(
        f"is not visible in one image to {votes.no} of {votes.asked} votes of the judge",
        {"yes": votes.yes, "no": votes.no, "asked": votes.asked, "rules": votes.rules},
    )


def _doubt(votes: JudgedConcept) -> Doubt | None:
    if votes.judge == "unjudged":
        missing = votes.asked - votes.yes - votes.no
        return Doubt(0, f"was not judged: {missing} of {votes.asked} votes never came")
    if votes.judge == "visible" and votes.rules == "not_visible":
        return Doubt(0, f"is visible to the judge, but {votes.rules_reason}")
    if votes.agreement < 1:
        return Doubt(votes.agreement, f"split the judge: {votes.yes} yes, {votes.no} no")
    return None


def _in_words(share: Proportion) -> str:
    return f"{share.count} of {share.of} ({share.low:.0%} to {share.high:.0%})"


def _prompt(statements: Sequence[str]) -> str:
    listed = "\n".join(
        f"{n}. <statement>{text}</statement>" for n, text in enumerate(statements, start=1)
    )
    count = len(statements)
    example = verdicts_form(count).example
    return _template().substitute(statements=listed, count=count, example=example).strip()


@cache
def _template() -> Template:
    return Template((_HERE / "prompts" / "judge.md").read_text(encoding="utf-8"))
