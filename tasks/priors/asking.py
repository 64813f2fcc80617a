"""Ask a language model what each concept says of each class, and count its votes.

Three questions about each concept, each asked several times in other words and with the classes
in another order: does the class show it, does it speak against the class, and, with nothing said
of who proposed it, which classes does it fit? Yes or no and no grades: weak judges tell two
answers apart, but not five.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from pydantic import BaseModel, StrictInt

from curette.schemas.candidates import Candidate, FileOrigin
from curette.schemas.images import ClassLabel
from curette.schemas.llm import RequestForecast, Usage
from curette.schemas.priors import QUESTIONS, PriorQuestion, Votes
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.priors import AskedPriors, PriorSpec
from curette.tasks.methods.llm.asking import Answered, AnswerForm, Answers, Question, ask, usage_of
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.methods.llm.tokens import count_tokens

_PROMPTS: Final = Path(__file__).parent / "prompts"
_LONGEST: Final = 300
"""Characters of a name or statement that go into a prompt."""


class Verdict(BaseModel, frozen=True):
    """The answer about one class."""

    number: StrictInt
    yes: bool


class Verdicts(BaseModel, frozen=True):
    """One answer for each class of the list."""

    answers: tuple[Verdict, ...]


class FittingClasses(BaseModel, frozen=True):
    """The numbers of the classes that fit."""

    numbers: tuple[StrictInt, ...]


Reply = Verdicts | FittingClasses

_EVERY_CLASS: Final[AnswerForm[Reply]] = AnswerForm(
    name="every_class",
    model=Verdicts,
    example='{"answers": [{"number": 1, "yes": false}, {"number": 2, "yes": true}]}',
)
_FITTING_CLASSES: Final[AnswerForm[Reply]] = AnswerForm(
    name="fitting_classes", model=FittingClasses, example='{"numbers": [1, 2]}'
)
_FORM: Final[dict[PriorQuestion, AnswerForm[Reply]]] = {
    "speaks for": _EVERY_CLASS,
    "speaks against": _EVERY_CLASS,
    "reverse": _FITTING_CLASSES,
}
"""Of each question's answers; its name is that of the prompt."""


@dataclass(frozen=True)
class Inquiry:
    """One request: a question about one concept, with the classes in the order of its list."""

    question: PriorQuestion
    concept: Candidate
    repeat: int
    listed: tuple[ClassLabel, ...]
    prompt: str


@dataclass(frozen=True)
class Ballot:
    """What one answer says of each class, in the order of its list; None is no vote."""

    votes: tuple[bool | None, ...]
    problem: str = ""


@dataclass(frozen=True)
class Poll:
    """All votes, and what brought none."""

    votes: Mapping[tuple[PriorQuestion, str, str], Votes]
    """Question, concept id and class key -> votes; missing where there is none."""
    failures: tuple[str, ...]
    usage: Usage


def count_requests(concepts: int, spec: PriorSpec) -> int:
    """Return how many requests are needed: one a concept, question and repeat."""
    return concepts * len(QUESTIONS) * spec.repeats if isinstance(spec, AskedPriors) else 0


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
    questions = [Question(i.prompt, _FORM[i.question], sample=i.repeat) for i in inquiries]
    answered = ask(questions, llm, answers, spent, advance)

    cast: defaultdict[tuple[PriorQuestion, str, str], list[bool]] = defaultdict(list)
    failures = []
    for inquiry, answer in zip(inquiries, answered, strict=True):
        ballot = _ballot(answer, len(classes))
        for label, vote in zip(inquiry.listed, ballot.votes, strict=True):
            if vote is not None:
                cast[inquiry.question, inquiry.concept.concept_id, label.key].append(vote)
        if ballot.problem:
            failures.append(f"{inquiry.question}, `{inquiry.concept.text}`: {ballot.problem}")
    return Poll(
        votes={about: Votes(yes=sum(v), no=len(v) - sum(v)) for about, v in cast.items()},
        failures=tuple(failures),
        usage=usage_of(answered, llm),
    )


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
                prompt = _prompt(question, wording, concept, listed, modality)
                found.append(Inquiry(question, concept, repeat, tuple(listed), prompt))
    return found


def read_verdicts(answer: Verdicts, classes: int) -> Ballot:
    """Return the votes of an answer with one yes or no for each class.

    A class that was left out gets no vote. Numbers that are not in the list, or that stand twice,
    say that the model has lost count, so then nothing of its answer is used.
    """
    numbers = Counter(v.number for v in answer.answers)
    if problem := _miscounted(numbers, classes):
        return Ballot((None,) * classes, problem)
    said = {v.number: v.yes for v in answer.answers}
    votes = tuple(said.get(number) for number in range(1, classes + 1))
    left_out = votes.count(None)
    return Ballot(votes, f"{left_out} of {classes} classes left out" if left_out else "")


def read_fitting_classes(answer: FittingClasses, classes: int) -> Ballot:
    """Return the votes of an answer that names the classes that fit: yes for these, else no."""
    if problem := _miscounted(Counter(set(answer.numbers)), classes):
        return Ballot((None,) * classes, problem)
    return Ballot(tuple(number in answer.numbers for number in range(1, classes + 1)))


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
    every = Verdicts(answers=tuple(Verdict(number=i, yes=False) for i in range(classes)))
    fitting = FittingClasses(numbers=tuple(range(classes)))
    completions = [every, every, fitting]
    return RequestForecast(
        name="priors",
        fewest=0,
        most=count_requests(count_at_most, spec),
        stored=None,
        prompt_tokens_each=_mean_tokens(prompts, llm),
        completion_tokens_each=_mean_tokens([c.model_dump_json() for c in completions], llm),
        note="depends on how many candidates the screen keeps",
    )


# --- prompts and answers ------------------------------------------------------------------------


def _prompt(
    question: PriorQuestion,
    wording: str,
    concept: Candidate,
    listed: Sequence[ClassLabel],
    modality: str,
) -> str:
    form = _FORM[question]
    return Template(_read(form.name)).substitute(
        modality=quotable(modality, _LONGEST),
        concept=quotable(concept.text, _LONGEST),
        classes="\n".join(
            f"{number}. {quotable(label.name, _LONGEST)}"
            for number, label in enumerate(listed, start=1)
        ),
        question=wording,
        example=form.example,
    )


def _wordings(question: PriorQuestion) -> tuple[str, ...]:
    return tuple(_read(question.replace(" ", "_")).splitlines())


@cache
def _read(name: str) -> str:
    return (_PROMPTS / f"{name}.md").read_text(encoding="utf-8")


def _ballot(answered: Answered[Reply], classes: int) -> Ballot:
    match answered.answer:
        case Verdicts() as verdicts:
            return read_verdicts(verdicts, classes)
        case FittingClasses() as fitting:
            return read_fitting_classes(fitting, classes)
        case None:
            return Ballot((None,) * classes, answered.problem)


def _miscounted(numbers: Counter[int], classes: int) -> str:
    unknown = sorted(n for n in numbers if not 1 <= n <= classes)
    twice = sorted(n for n, count in numbers.items() if count > 1)
    if unknown:
        return f"the answer names class {unknown[0]}, and there are 1 to {classes}"
    return f"the answer names class {twice[0]} twice" if twice else ""


def _mean_tokens(texts: Sequence[str], llm: LlmSpec) -> float:
    return sum(count_tokens(text, llm.model) for text in texts) / len(texts)
