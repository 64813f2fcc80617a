"""Judges whose answers are made by hand."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from curette.schemas.llm import Usage
from curette.schemas.responses import LlmResponse
from curette.tasks.methods.llm.asking import Answered, Question
from curette.tasks.methods.llm.each import Each
from curette.tasks.methods.llm.reading import Unusable, read_answer
from curette.tasks.screen.gates.judge import planted_statements

Opinion = Callable[[str], bool]


def statements_in(prompt: str) -> list[str]:
    """Return the statements that a prompt lists."""
    return re.findall(r"^\d+\. <statement>(.*)</statement>$", prompt, re.MULTILINE)


def verdicts(prompt: str, opinion: Opinion) -> str:
    """Return the answer of a judge with an opinion, as JSON."""
    listed = enumerate(statements_in(prompt), start=1)
    return json.dumps({str(n): "yes" if opinion(text) else "no" for n, text in listed})


def knows(*invisible: str) -> Opinion:
    """Return the opinion that is right about planted statements and calls these not visible."""
    return lambda text: planted_statements().get(text, text not in invisible)


@dataclass
class HandMade:
    """Answers each question by `answer(prompt, sample)`; None is an answer that never came."""

    answer: Callable[[str, int], str | None]
    asked: list[Question[Each]] = field(default_factory=list)

    def __call__(self, questions: Sequence[Question[Each]]) -> tuple[list[Answered[Each]], Usage]:
        self.asked += questions
        return [self._answered(q) for q in questions], Usage(
            requests=len(questions), answers=len(questions)
        )

    def _answered(self, question: Question[Each]) -> Answered[Each]:
        text = self.answer(question.prompt, question.sample)
        response = LlmResponse(text=text or "", model="by-hand-1", format="json_schema")
        try:
            return Answered("0", response, read_answer(response, question.form))
        except Unusable as problem:
            return Answered("0", response, None, str(problem))


def of_opinion(opinion: Opinion) -> HandMade:
    """Return a judge that always answers, by an opinion."""
    return HandMade(lambda prompt, _: verdicts(prompt, opinion))
