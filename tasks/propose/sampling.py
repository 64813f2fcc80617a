"""Asking the same again until little new comes."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from curette.schemas.candidates import (
    AskFailure,
    LlmOrigin,
    Origin,
    Saturation,
    SaturationPoint,
    normal_form,
)
from curette.schemas.settings.propose import Sampling
from curette.tasks.methods.llm.asking import Answered, AnswerForm, Question
from curette.tasks.methods.llm.reading import excerpt_of
from curette.tasks.propose.proposals import Found, Proposal
from curette.tasks.propose.usable import why_unusable

Ask = Callable[[Sequence[Question[Any]]], list[Answered[Any]]]
"""Ask all at once; the answers come in the order of the questions."""
Statement = tuple[str, tuple[str, ...]]
"""A text, and the keys of the classes it was written for."""


@dataclass(frozen=True)
class Prompt:
    """One question about a topic."""

    name: str
    """Of the prompt: an aspect, or `contrast`."""
    text: str
    template_sha256: str
    form: AnswerForm[Any]
    read: Callable[[Any], Sequence[Statement]]
    """From an answer to its statements."""
    round: int = 1
    """Of proposing."""
    pair: tuple[str, str] | None = None
    """Keys of the confused classes that a later round asks about."""


@dataclass(frozen=True)
class Topic:
    """What is asked about: a class, or a pair of classes."""

    about: str
    prompts: tuple[Prompt, ...]


@dataclass
class Tally:
    """How often each concept of a topic was named: once an answer at most."""

    named: Counter[str] = field(default_factory=Counter)
    points: list[SaturationPoint] = field(default_factory=list)
    requests: int = 0

    def add_round(self, requests: int, answers: Sequence[Sequence[str]]) -> float:
        """Count a round's answers; return the share of their mentions that were new.

        A round without a usable answer says nothing about what is left to find: its share is 1.
        """
        before = len(self.named)
        mentioned = 0
        for texts in answers:
            forms = {normal_form(text) for text in texts} - {""}
            self.named.update(forms)
            mentioned += len(forms)
        self.requests += requests
        self.points.append(SaturationPoint(requests=self.requests, distinct=len(self.named)))
        return (len(self.named) - before) / mentioned if mentioned else 1.0

    def saturation(
        self,
        source: Literal["class_prompts", "contrasts", "documents", "recorded"],
        about: str,
        stopped: Literal["saturated", "limit"],
    ) -> Saturation:
        """Return how far asking has come."""
        times = Counter(self.named.values())
        return Saturation(
            source=source,
            about=about,
            points=tuple(self.points),
            mentions=self.named.total(),
            once=times[1],
            twice=times[2],
            stopped=stopped,
        )


def sample_until_saturated(
    topics: Sequence[Topic],
    sampling: Sampling,
    source: Literal["class_prompts", "contrasts"],
    asked_for: str,
    model: str,
    ask: Ask,
) -> Found:
    """Ask about every topic, round after round, until a round brings little new.

    In a round each prompt of a topic is asked `sampling.per_round` times. A topic is left when
    less than `sampling.min_new_share` of what its round named was new, or after
    `sampling.max_rounds`. All topics of a round are asked together.
    """
    tallies = {topic.about: Tally() for topic in topics}
    stopped: dict[str, Literal["saturated", "limit"]] = {}
    proposals: dict[str, list[Proposal]] = {topic.about: [] for topic in topics}
    failures: list[AskFailure] = []
    for number in range(sampling.max_rounds):
        asked = [
            (topic, prompt, Question(prompt.text, prompt.form, number * sampling.per_round + i))
            for topic in topics
            if topic.about not in stopped
            for prompt in topic.prompts
            for i in range(sampling.per_round)
        ]
        if not asked:
            break
        said: dict[str, list[list[str]]] = {}
        sent: Counter[str] = Counter()
        answered = ask([question for _, _, question in asked])
        for (topic, prompt, _), answer in zip(asked, answered, strict=True):
            sent[topic.about] += 1
            if answer.answer is None:
                failures.append(failure_of(topic.about, answer))
                continue
            found, dropped = _read(prompt, answer, model, topic)
            proposals[topic.about] += found
            failures += dropped
            said.setdefault(topic.about, []).append([p.text for p in found])
        for about, requests in sent.items():
            new = tallies[about].add_round(requests, said.get(about, []))
            if new < sampling.min_new_share:
                stopped[about] = "saturated"
    requests = sum(tally.requests for tally in tallies.values())
    return Found(
        proposals=tuple(p for topic in topics for p in proposals[topic.about]),
        failures=tuple(failures),
        saturation=tuple(
            tally.saturation(source, about, stopped.get(about, "limit"))
            for about, tally in tallies.items()
        ),
        said=f"{model}: {requests} {asked_for}",
    )


def digest(template: str) -> str:
    """Return the digest of a prompt before names are filled in."""
    return hashlib.sha256(template.encode()).hexdigest()


def _read(
    prompt: Prompt, answered: Answered[Any], model: str, topic: Topic
) -> tuple[list[Proposal], list[AskFailure]]:
    """Return an answer's statements, and those of them that are no candidates."""
    origin = LlmOrigin(
        model=model,
        prompt=prompt.name,
        prompt_sha256=prompt.template_sha256,
        request_sha256=answered.request_sha256,
        recorded=False,
        round=prompt.round,
        pair=prompt.pair,
    )
    return sift_statements(
        prompt.read(answered.answer), prompt.text, topic.about, answered.request_sha256, origin
    )


def sift_statements(
    statements: Sequence[Statement], asked: str, about: str, request_sha256: str, origin: Origin
) -> tuple[list[Proposal], list[AskFailure]]:
    """Return an answer's statements as proposals, and those of them that are no candidates.

    Args:
        statements: each with the classes that it is proposed for.
        asked: the question.
        about: the topic, for failures.
        request_sha256: of the request.
        origin: of all of them.
    """
    proposals, failures = [], []
    for (text, classes), why in zip(statements, why_unusable(statements, asked), strict=True):
        if why:
            failures.append(
                AskFailure(class_key=about, request_sha256=request_sha256, reason=why, raw=text)
            )
        else:
            proposals.append(Proposal(text, classes, origin))
    return proposals, failures


def failure_of(about: str, answered: Answered[Any]) -> AskFailure:
    """Return what is kept of a question that brought no answer of use."""
    return AskFailure(
        class_key=about,
        request_sha256=answered.request_sha256,
        reason=answered.problem,
        raw=excerpt_of(answered.response),
    )
