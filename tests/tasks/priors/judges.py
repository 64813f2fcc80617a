"""Judges with known opinions, which answer a prompt as a language model would."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from curette.schemas.candidates import Candidate, FileOrigin
from curette.schemas.priors import PriorQuestion
from curette.schemas.responses import LlmRequest, LlmResponse, SubmittedBatch
from curette.tasks.priors.asking import planted_findings
from tests.builders.images import SECRET_CLASSES

PROMPTS = Path(__file__).parents[3] / "tasks" / "priors" / "prompts"

CLASSES = SECRET_CLASSES


def concept(text: str, *classes: str) -> Candidate:
    return Candidate(text=text, classes=classes, origins=(FileOrigin(file="secret.txt", line=1),))


@dataclass(frozen=True)
class Asked:
    """What a prompt asks, as a reader understands it."""

    question: PriorQuestion
    wording: str
    concept: str
    classes: tuple[str, ...]
    """Names in the order of the list."""


Judge = Callable[[Asked], list[bool | None]]
"""Yes or no for each class of the list; None leaves the class out."""


def understand(prompt: str) -> Asked:
    wordings = {
        wording: question
        for question in get_args(PriorQuestion)
        for wording in (PROMPTS / f"{question.replace(' ', '_')}.md").read_text().splitlines()
    }
    (wording,) = [line for line in prompt.splitlines() if line in wordings]
    (finding,) = re.findall(r"<finding>(.*)</finding>", prompt)
    numbered = re.findall(r"^(\d+)\. (.+)$", prompt, flags=re.MULTILINE)
    assert [int(number) for number, _ in numbered] == list(range(1, len(numbered) + 1))
    return Asked(wordings[wording], wording, finding, tuple(name for _, name in numbered))


def answer(prompt: str, judge: Judge) -> str:
    said = enumerate(judge(understand(prompt)), start=1)
    return json.dumps({str(n): "yes" if yes else "no" for n, yes in said if yes is not None})


def sensible(judge: Judge) -> Judge:
    """Let a judge know what everybody knows, so that it is believed."""
    own = dict(planted_findings())

    def answer(asked: Asked) -> list[bool | None]:
        if asked.concept not in own:
            return judge(asked)
        against = asked.question == "speaks against"
        return [(name == own[asked.concept]) != against for name in asked.classes]

    return answer


def believer(opinions: dict[tuple[PriorQuestion, str], set[str]]) -> Judge:
    """Say yes to a question about a concept for these names of classes, and no to all else."""

    def judge(asked: Asked) -> list[bool | None]:
        yes = opinions.get((asked.question, asked.concept), set())
        return [name in yes for name in asked.classes]

    return judge


def guesser(asked: Asked) -> list[bool | None]:
    """Answer by chance, each wording and order anew."""
    draw = random.Random(repr(asked))
    return [draw.random() < 0.5 for _ in asked.classes]


@dataclass(frozen=True)
class Oracle:
    """A shelf that holds an answer to every request, so that no server is needed."""

    speak: Callable[[str], str]
    """Prompt -> the text of the answer."""

    def get(self, request: LlmRequest) -> LlmResponse | None:
        prompt = request.body["messages"][0]["content"]
        return LlmResponse(text=self.speak(prompt), model="oracle", format="json_schema")

    def put(self, request: LlmRequest, response: LlmResponse) -> None:
        raise AssertionError("an answered question was asked")

    def keep_batch(self, batch: SubmittedBatch) -> None:
        raise AssertionError("an answered question was asked")

    def open_batches(self) -> list[SubmittedBatch]:
        return []

    def drop_batch(self, batch: SubmittedBatch) -> None:
        raise AssertionError("there are no batches")
