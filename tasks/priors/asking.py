"""Ask a language model what each concept says of each class, and count its votes.

Three questions about each concept, each asked several times in other words and with the classes
in another order: does the class show it, does it speak against the class, and, with nothing said
of who proposed it, which classes does it fit? Yes or no and no grades: weak judges tell two
answers apart, but not five.
"""

import csv
import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from curette.schemas.candidates import Candidate, FileOrigin
from curette.schemas.images import ClassLabel
from curette.schemas.llm import RequestForecast, Usage
from curette.schemas.priors import QUESTIONS, PlantedAnswers, PriorQuestion, Votes
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.priors import AskedPriors, PriorSpec
from curette.tasks.methods.llm.asking import AnswerForm, Answers, Question, ask, usage_of
from curette.tasks.methods.llm.each import Each, each_form
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.methods.llm.tokens import count_tokens

_PROMPTS: Final = Path(__file__).parent / "prompts"
_LONGEST: Final = 300
"""Characters of a name or statement that go into a prompt."""


FEWEST_PLANTED: Final = 12
"""Planted questions in a small study: four of each kind."""
PLANTED_SHARE: Final = 20
"""In a large one every twentieth question is planted."""
_MOST_PLANTED_CLASSES: Final = 8


@dataclass(frozen=True)
class Inquiry:
    """One request: a question about one concept, with the classes in the order of its list."""

    question: PriorQuestion
    concept: Candidate
    repeat: int
    listed: tuple[ClassLabel, ...]
    prompt: str
    truth: tuple[bool, ...] | None = None
    """Of a planted question: the right answer on each class of the list."""


@dataclass(frozen=True)
class Poll:
    """All votes, and what brought none."""

    votes: Mapping[tuple[PriorQuestion, str, str], Votes]
    """Question, concept id and class key -> votes; missing where there is none."""
    failures: tuple[str, ...]
    usage: Usage
    planted: tuple[PlantedAnswers, ...]
    """What was said of planted classes that the finding speaks for, and of those it does not."""


def count_requests(concepts: int, spec: PriorSpec) -> int:
    """Return how many requests are needed: one a concept, question and repeat, and planted ones."""
    if not isinstance(spec, AskedPriors):
        return 0
    asked = concepts * len(QUESTIONS) * spec.repeats
    return asked + _count_planted(asked)


def _count_planted(asked: int) -> int:
    return max(FEWEST_PLANTED, math.ceil(asked / PLANTED_SHARE)) if asked else 0


def hold_poll(
    concepts: Sequence[Candidate],
    classes: Sequence[ClassLabel],
    spec: AskedPriors,
    modality: str,
    llm: LlmSpec,
    answers: Answers,
    spent: Usage,
    advance: Callable[[int], None],
) -> Poll:
    """Ask every question about every concept and count the votes on every class.

    What an answer leaves out, and an answer that does not come, is no vote; it is never counted
    as a no. Only the modality, the concepts' texts and the classes' names are sent.

    Raises:
        StudyError: the server refuses or fails, or the study's budget is spent.
    """
    inquiries = write_inquiries(concepts, classes, spec, modality)
    inquiries += write_planted(len(inquiries), len(classes), modality)
    form = verdicts_form
    questions = [Question(i.prompt, form(len(i.listed)), sample=i.repeat) for i in inquiries]
    answered = ask(questions, llm, answers, spent, advance)

    cast: defaultdict[tuple[PriorQuestion, str, str], list[bool]] = defaultdict(list)
    planted: defaultdict[bool, list[bool | None]] = defaultdict(list)
    failures = []
    for inquiry, answer in zip(inquiries, answered, strict=True):
        votes = _votes(answer.answer, len(inquiry.listed))
        if inquiry.truth is not None:
            for truth, vote in zip(inquiry.truth, votes, strict=True):
                planted[truth].append(vote)
        else:
            for label, vote in zip(inquiry.listed, votes, strict=True):
                if vote is not None:
                    cast[inquiry.question, inquiry.concept.concept_id, label.key].append(vote)
        if answer.problem:
            failures.append(f"{inquiry.question}, `{inquiry.concept.text}`: {answer.problem}")
    return Poll(
        votes={about: Votes(yes=sum(v), no=len(v) - sum(v)) for about, v in cast.items()},
        failures=tuple(failures),
        usage=usage_of(answered, llm),
        planted=tuple(
            PlantedAnswers(truth=truth, yes=v.count(True), no=v.count(False), asked=len(v))
            for truth, v in sorted(planted.items())
        ),
    )


def write_planted(asked: int, classes: int, modality: str) -> list[Inquiry]:
    """Return questions in the same words whose answers everybody knows, one for many of the study.

    Each lists a class that the finding belongs to among others that it does not; what is true of
    the one for `speaks for` and `reverse` is true of the others for `speaks against`. Without them
    a model that says the same of everything, or has lost the form, would look like one that knows.
    """
    known = planted_findings()
    size = max(2, min(classes, _MOST_PLANTED_CLASSES))
    found = []
    for number in range(_count_planted(asked)):
        question = QUESTIONS[number % len(QUESTIONS)]
        draw = random.Random(f"planted {number}")
        finding, own = known[number % len(known)]
        others = [name for _, name in known if name != own]
        listed = [ClassLabel(key=name, name=name) for name in (own, *draw.sample(others, size - 1))]
        draw.shuffle(listed)
        concept = Candidate(text=finding, classes=(), origins=(FileOrigin(file="-", line=1),))
        wording = draw.choice(_wordings(question))
        prompt = _prompt(wording, concept, listed, modality)
        truth = tuple((label.name == own) != (question == "speaks against") for label in listed)
        found.append(Inquiry(question, concept, 0, tuple(listed), prompt, truth))
    return found


@cache
def planted_findings() -> tuple[tuple[str, str], ...]:
    """Return findings of everyday things, each with the one class of all that shows it."""
    with (Path(__file__).parent / "planted.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["finding"], row["class"]) for row in csv.DictReader(file))


def write_inquiries(
    concepts: Sequence[Candidate],
    classes: Sequence[ClassLabel],
    spec: AskedPriors,
    modality: str,
) -> list[Inquiry]:
    """Return every request, concepts first.

    The order of the classes and the wording are drawn by what is asked, so that a second run,
    also one with fewer or more concepts, asks the same and finds its answers stored.
    """
    found = []
    for concept in concepts:
        for question in QUESTIONS:
            wordings = list(_wordings(question))
            random.Random(f"{question} {concept.concept_id}").shuffle(wordings)
            for repeat in range(spec.repeats):
                listed = list(classes)
                random.Random(f"{question} {concept.concept_id} {repeat}").shuffle(listed)
                wording = wordings[repeat % len(wordings)]
                prompt = _prompt(wording, concept, listed, modality)
                found.append(Inquiry(question, concept, repeat, tuple(listed), prompt))
    return found


def verdicts_form(classes: int) -> AnswerForm[Each]:
    """Return the form of an answer on so many classes."""
    return each_form("every_class", classes, ("yes", "no"))


def _votes(answer: Each | None, classes: int) -> list[bool | None]:
    """Return the vote on each class; None for all where no whole answer came."""
    if answer is None:
        return [None] * classes
    return [answer.words[number] == "yes" for number in range(1, classes + 1)]


def forecast_priors(
    count_at_most: int, classes: int, spec: PriorSpec, llm: LlmSpec
) -> RequestForecast | None:
    """Return what asking will cost for as many candidates as there can be; None asks nothing.

    How long names and statements are is not known then, so usual ones stand in for them.
    """
    if not isinstance(spec, AskedPriors):
        return None
    usual = Candidate(
        text="irregular dark streaks at the outer edge",
        classes=(),
        origins=(FileOrigin(file="-", line=1),),
    )
    labels = [ClassLabel(key=str(i), name="basal cell carcinoma") for i in range(classes)]
    prompts = [i.prompt for i in write_inquiries([usual], labels, spec, "dermoscopy image")]
    answer = json.dumps({str(number): "no" for number in range(1, classes + 1)})
    return RequestForecast(
        name="priors",
        fewest=0,
        most=count_requests(count_at_most, spec),
        stored=None,
        prompt_tokens_each=_mean_tokens(prompts, llm),
        completion_tokens_each=llm.expected_tokens(count_tokens(answer, llm.model)),
        note="depends on how many candidates the screen keeps",
    )


# --- prompts and answers ------------------------------------------------------------------------


def _prompt(
    wording: str,
    concept: Candidate,
    listed: Sequence[ClassLabel],
    modality: str,
) -> str:
    return Template(_read("question")).substitute(
        modality=quotable(modality, _LONGEST),
        concept=quotable(concept.text, _LONGEST),
        classes="\n".join(
            f"{number}. {quotable(label.name, _LONGEST)}"
            for number, label in enumerate(listed, start=1)
        ),
        question=wording,
        example=verdicts_form(len(listed)).example,
    )


def _wordings(question: PriorQuestion) -> tuple[str, ...]:
    return tuple(_read(question.replace(" ", "_")).splitlines())


@cache
def _read(name: str) -> str:
    return (_PROMPTS / f"{name}.md").read_text(encoding="utf-8")


def _mean_tokens(texts: Sequence[str], llm: LlmSpec) -> float:
    return sum(count_tokens(text, llm.model) for text in texts) / len(texts)
