"""One prior for every concept and class, from links, from a language model's votes or a file."""

from collections.abc import Callable, Sequence

import numpy as np

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.priors import (
    QUESTIONS,
    Answer,
    PlantedAnswers,
    Prior,
    PriorAgreement,
    PriorQuestion,
    Priors,
    Votes,
)
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.priors import AskedPriors, FilePriors, LinkPriors, PriorSpec
from curette.tasks.methods.llm.agreement import fleiss_kappa
from curette.tasks.methods.llm.asking import Answers
from curette.tasks.priors.asking import hold_poll
from curette.tasks.priors.files import read_priors


def collect_priors(
    concepts: Sequence[Candidate],
    classes: Sequence[ClassLabel],
    spec: PriorSpec,
    modality: str,
    llm: LlmSpec | None,
    answers: Answers,
    spent: Usage,
    advance: Callable[[int], None],
) -> Priors:
    """Return what is believed of every concept and class.

    Args:
        concepts: the screened candidates.
        classes: the dataset's classes.
        spec: where priors come from.
        modality: what the images are; part of the prompts.
        llm: the language model, where one is asked.
        answers: where its answers are kept.
        spent: what the study has spent on it so far.
        advance: told how many requests are answered.

    Raises:
        StudyError: a model is to be asked and there is none, or it fails; the file cannot be
            used.
    """
    match spec:
        case LinkPriors():
            return link_priors(concepts, classes)
        case FilePriors():
            return read_priors(concepts, classes, spec)
        case AskedPriors():
            if llm is None:
                raise StudyError(
                    "priors.kind is `llm`, but the study names no language model: add `llm` with "
                    "its model and server, or set priors.kind to `links`."
                )
            return ask_priors(concepts, classes, spec, modality, llm, answers, spent, advance)


def link_priors(concepts: Sequence[Candidate], classes: Sequence[ClassLabel]) -> Priors:
    """Let each concept speak for the classes it was proposed for, and for no other (LaBo)."""
    return Priors(
        class_keys=tuple(c.key for c in classes),
        concept_ids=tuple(c.concept_id for c in concepts),
        source="the classes that each concept was proposed for",
        asked="links",
        priors=tuple(
            Prior(
                concept_id=concept.concept_id,
                class_key=label.key,
                answer="speaks for" if label.key in concept.classes else "neutral",
            )
            for concept in concepts
            for label in classes
        ),
    )


def ask_priors(
    concepts: Sequence[Candidate],
    classes: Sequence[ClassLabel],
    spec: AskedPriors,
    modality: str,
    llm: LlmSpec,
    answers: Answers,
    spent: Usage,
    advance: Callable[[int], None],
) -> Priors:
    """Return what a language model's votes say, and how far they agree.

    Raises:
        StudyError: the server refuses or fails, the budget is spent, or not one answer was usable.
    """
    worded = [c for c in concepts if not c.found]  # of the others there are pictures alone
    poll = hold_poll(worded, classes, spec, modality, llm, answers, spent, advance)
    if worded and not poll.votes:
        raise StudyError(
            f"{llm.model} gave no usable answer about any concept and class. The first problem: "
            f"{poll.failures[0]}. Where answers are cut off raise llm.max_tokens; where they have "
            "another form name another model in `llm`: small ones often cannot keep to JSON."
        )

    def votes(question: PriorQuestion, concept: Candidate, label: ClassLabel) -> Votes:
        return poll.votes.get((question, concept.concept_id, label.key), Votes())

    believed = all(planted.bears(spec.min_planted) for planted in poll.planted)
    priors = []
    for concept in concepts:
        for label in classes:
            speaks_for, speaks_against, reverse = (votes(q, concept, label) for q in QUESTIONS)
            answer = decide(speaks_for, speaks_against, spec) if believed else "neutral"
            priors.append(
                Prior(
                    concept_id=concept.concept_id,
                    class_key=label.key,
                    answer=answer,
                    speaks_for=speaks_for,
                    speaks_against=speaks_against,
                    reverse=reverse,
                    directions_differ=directions_differ(answer, speaks_for, reverse),
                )
            )
    return Priors(
        class_keys=tuple(c.key for c in classes),
        concept_ids=tuple(c.concept_id for c in concepts),
        source=f"{llm.model}: {spec.repeats} answers to each of {len(QUESTIONS)} questions"
        + _trust(poll.planted, believed, spec),
        asked="llm",
        priors=tuple(priors),
        agreement=(
            _agreement("speaks for", [p.speaks_for for p in priors], spec.repeats),
            _agreement("speaks against", [p.speaks_against for p in priors], spec.repeats),
            _agreement("reverse", [p.reverse for p in priors], spec.repeats),
        ),
        planted=poll.planted,
        believed=believed,
        failures=poll.failures,
        usage=poll.usage,
    )


def _trust(planted: Sequence[PlantedAnswers], believed: bool, spec: AskedPriors) -> str:
    """Return what planted questions say of the model, as the end of a sentence."""
    if not planted:
        return ""
    told = ", and ".join(
        f"{p.right} of {p.asked} whose answer is {'yes' if p.truth else 'no'}" for p in planted
    )
    if believed:
        return f"; of the control questions it answered {told} rightly"
    return (
        f"; it is not believed, and every prior is neutral: of the control questions it answered "
        f"{told} rightly (the study asks for more than half of each kind, and "
        f"{spec.min_planted:.0%} of those given)"
    )


def decide(speaks_for: Votes, speaks_against: Votes, spec: AskedPriors) -> Answer:
    """Return the answer that the votes on both forward questions give.

    A concept speaks for a class where at least `min_agreement` of the first question's votes are
    yes and as many of the second's are no, and against it the other way round. All else is
    neutral: weak majorities, yes to both (as from a model that says yes to everything), and where
    no more than half of a question's votes were cast, since then agreement says little.
    """
    both = (speaks_for, speaks_against)
    if any(2 * (v.yes + v.no) <= spec.repeats for v in both):
        return "neutral"
    if any(v.agreement < spec.min_agreement for v in both):
        return "neutral"
    match [v.yes > v.no for v in both]:
        case [True, False]:
            return "speaks for"
        case [False, True]:
            return "speaks against"
        case _:
            return "neutral"


def directions_differ(answer: Answer, forward: Votes, reverse: Votes) -> bool:
    """Return whether a class shows a concept that most votes do not name it for, or vice versa.

    A model that knows that A has B need not know that B speaks for A: Berglund et al., "The
    reversal curse", ICLR 2024. Where nobody voted in one direction there is nothing to compare.
    """
    if not (forward.yes + forward.no and reverse.yes + reverse.no):
        return False
    return (answer == "speaks for") != (reverse.yes > reverse.no)


def _agreement(question: PriorQuestion, votes: Sequence[Votes], repeats: int) -> PriorAgreement:
    complete = [(v.yes, v.no) for v in votes if v.yes + v.no == repeats]
    return PriorAgreement(
        question=question,
        kappa=fleiss_kappa(np.array(complete, dtype=np.int64).reshape(-1, 2)),
        items=len(complete),
        votes_each=repeats,
    )
