"""Hundreds of requests of which three in ten go wrong, in every way at once."""

import json
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from curette.schemas.artifact import StudyError
from curette.tasks.methods.llm.budget import KEPT
from tests.servers import Answer, Reply, Reset, Status
from tests.tasks.methods.llm.askers import Concepts, asking

PROMPTS = tuple(f"question {i}" for i in range(300))
USELESS = (Answer('{"concepts": ["cut', "length"), Answer("Let us talk of the weather."))
BROKEN = (Status(429, headers=(("retry-after", "0"),)), Status(500), Reset())
FAULTS: tuple[Reply, ...] = (*BROKEN, *USELESS)


def answer(prompt: str) -> Answer:
    return Answer(json.dumps({"concepts": [f"answer to {prompt}"]}))


class Faulty:
    """Whether a visit goes wrong depends on the question and the visit's number alone.

    A question is given at most two useless answers, as a third would be kept as its failure, and
    the second is not cut off, since a larger limit is tried once.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.visits: Counter[str] = Counter()
        self.useless: Counter[str] = Counter()
        self.usable: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Reply:
        prompt = body["messages"][0]["content"]
        with self.lock:
            self.visits[prompt] += 1
            chance = random.Random(f"{prompt}, {self.visits[prompt]}")
            if chance.random() < self.share:
                fault = chance.choice(FAULTS)
                if fault in BROKEN:
                    return fault
                if self.useless[prompt] < 2:
                    self.useless[prompt] += 1
                    return fault if self.useless[prompt] == 1 else USELESS[1]
            self.usable[prompt] += 1
        return answer(prompt)


def test_faults_change_no_answer_lose_nothing_and_ask_nothing_twice(tmp_path: Path) -> None:
    faulty = Faulty(share=0.3)
    with asking(faulty, tmp_path, concurrency=32, max_retries=10) as asker:
        answered = asker.ask(*PROMPTS)
        again = asker.ask(*PROMPTS)
    assert [a.answer for a in answered] == [Concepts(concepts=(f"answer to {p}",)) for p in PROMPTS]
    assert again == answered
    assert faulty.usable == Counter(PROMPTS)  # each was given its usable answer, once
    faults = len(asker.server.bodies) - len(PROMPTS)
    assert 0.25 < faults / len(asker.server.bodies) < 0.35
    assert sum(a.response.requests for a in answered) == len(asker.server.bodies)
    assert asker.told == [0] + [1] * 300 + [300]


def test_a_run_that_faults_end_is_resumed_where_it_ended(tmp_path: Path) -> None:
    """With no retries a run ends at its first broken request; enough runs answer everything."""
    faulty = Faulty(share=0.3)
    ended = 0
    with asking(faulty, tmp_path, concurrency=4, max_retries=0) as asker:
        while True:
            try:
                answered = asker.ask(*PROMPTS[:40])
                break
            except StudyError as error:
                assert KEPT in str(error)
                ended += 1
    assert ended > 3
    assert [a.problem for a in answered] == [""] * 40
    assert faulty.usable == Counter(PROMPTS[:40])
