"""Judges whose answers are made by hand."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from curette.schemas.llm import Usage
from curette.schemas.responses import LlmResponse
from curette.tasks.methods.llm.asking import Answered, Question
from curette.tasks.screen.gates.judge import Verdicts, planted_statements

Opinion = Callable[[str], bool]


def statements_in(prompt: str) -> list[str]:
    """Return the statements that a prompt lists."""
    return re.findall(r"^\d+\. <statement>(.*)</statement>$", prompt, re.MULTILINE)


def verdicts(prompt: str, opinion: Opinion) -> str:
    """Return the answer of a judge with an opinion, as JSON."""
    said = [
        {"number": n, "visible": opinion(text)}
        for n, text in enumerate(statements_in(prompt), start=1)
    ]
    return json.dumps({"verdicts": said})


def knows(*invisible: str) -> Opinion:
    """Return the opinion that is right about planted statements and calls these not visible."""
    return lambda text: planted_statements().get(text, text not in invisible)


@dataclass
class HandMade:
    """Answers each question by `answer(prompt, sample)`; None is an answer that never came."""

    answer: Callable[[str, int], str | None]
    asked: list[Question[Verdicts]] = field(default_factory=list)

    def __call__(
        self, questions: Sequence[Question[Verdicts]]
    ) -> tuple[list[Answered[Verdicts]], Usage]:
        self.asked += questions
        return [self._answered(q) for q in questions], Usage(
            requests=len(questions), answers=len(questions)
        )

    def _answered(self, question: Question[Verdicts]) -> Answered[Verdicts]:
        text = self.answer(question.prompt, question.sample)
        response = LlmResponse(text=text or "", model="by-hand-1", format="json_schema")
        if text is None:
            return Answered("0", response, None, "the answer is empty")
        return Answered("0", response, Verdicts.model_validate_json(text))


def of_opinion(opinion: Opinion) -> HandMade:
    """Return a judge that always answers, by an opinion."""
    return HandMade(lambda prompt, _: verdicts(prompt, opinion))
