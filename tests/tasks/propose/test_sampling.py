"""Asking stops by itself, and what was not seen is estimated."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from curette.schemas.responses import LlmResponse
from curette.schemas.settings.propose import Sampling
from curette.tasks.methods.llm.asking import Answered, Question
from curette.tasks.propose.forms import CONCEPTS, Concepts
from curette.tasks.propose.sampling import Prompt, Tally, Topic, sample_until_saturated


def topic(about: str) -> Topic:
    def read(answer: Concepts) -> list[tuple[str, tuple[str, ...]]]:
        return [(text, (about,)) for text in answer.concepts]

    return Topic(about, (Prompt("colour", f"about {about}", "0" * 64, CONCEPTS, read),))


class Scripted:
    """Answers each topic by its script, one answer a round; None is unusable."""

    def __init__(self, **scripts: list[list[str] | None]) -> None:
        self.scripts = scripts
        self.rounds: list[list[str]] = []

    def __call__(self, questions: Sequence[Question[Any]]) -> list[Answered[Any]]:
        self.rounds.append([q.prompt.removeprefix("about ") for q in questions])
        return [self.answer(q) for q in questions]

    def answer(self, question: Question[Any]) -> Answered[Any]:
        texts = self.scripts[question.prompt.removeprefix("about ")][question.sample]
        response = LlmResponse(text=str(texts), model="m", format="text")
        if texts is None:
            return Answered("sha", response, None, "the answer is empty")
        return Answered("sha", response, Concepts(concepts=tuple(texts)))


def test_a_topic_is_left_when_little_new_comes_and_the_others_go_on() -> None:
    ask = Scripted(
        a=[["x", "y"], ["X.", "y"], ["never asked"]],
        b=[["p"], ["q"], ["r"]],
    )
    sampling = Sampling(max_rounds=3, min_new_share=0.5)
    found = sample_until_saturated(
        [topic("a"), topic("b")], sampling, "class_prompts", "answers", "m", ask
    )
    assert ask.rounds == [["a", "b"], ["a", "b"], ["b"]]
    assert [(s.about, s.stopped) for s in found.saturation] == [("a", "saturated"), ("b", "limit")]
    assert [(p.requests, p.distinct) for p in found.saturation[0].points] == [(1, 2), (2, 2)]
    assert [p.text for p in found.proposals] == ["x", "y", "X.", "y", "p", "q", "r"]


def test_a_round_without_a_usable_answer_does_not_look_like_the_end() -> None:
    ask = Scripted(a=[None, ["x"], ["x"]])
    found = sample_until_saturated(
        [topic("a")], Sampling(max_rounds=9), "contrasts", "answers", "m", ask
    )
    assert len(ask.rounds) == 3
    assert [(f.class_key, f.reason) for f in found.failures] == [("a", "the answer is empty")]


def test_a_concept_counts_once_an_answer() -> None:
    tally = Tally()
    assert tally.add_round(1, [["x", "X", "y"]]) == 1.0
    assert tally.add_round(1, [["x", "z"]]) == 0.5
    made = tally.saturation("class_prompts", "a", "limit")
    assert (made.mentions, made.once, made.twice) == (4, 2, 1)
    assert made.unseen_share == 0.5
    assert made.unseen_concepts == pytest.approx(2 * 1 / (2 * 2))


def test_good_turing_foresees_how_often_the_next_concept_is_new() -> None:
    """Against draws from a known population: the estimate and the truth agree on average."""
    generator = np.random.default_rng(0)
    shares = 1 / np.arange(1, 301)
    shares /= shares.sum()
    estimates, truths = [], []
    for _ in range(40):
        tally = Tally()
        drawn = generator.choice(300, size=150, p=shares)
        for i in drawn:
            tally.add_round(1, [[f"concept {i}"]])
        estimates.append(tally.saturation("class_prompts", "a", "limit").unseen_share)
        truths.append(shares[np.setdiff1d(np.arange(300), drawn)].sum())
    assert np.mean(estimates) == pytest.approx(np.mean(truths), abs=0.02)


def test_what_the_question_holds_is_no_candidate_and_ends_no_topic() -> None:
    ask = Scripted(rim=[["about rim", "third statement", "x", "w"], ["about rim", "y"], ["z"]])
    sampling = Sampling(max_rounds=3, min_new_share=0.5)
    found = sample_until_saturated([topic("rim")], sampling, "class_prompts", "answers", "m", ask)
    assert [p.text for p in found.proposals] == ["x", "w", "y", "z"]
    assert [(f.raw, f.reason) for f in found.failures] == [
        ("about rim", "copied from the question"),
        ("third statement", "a place-holder, as in the form asked for"),
        ("about rim", "copied from the question"),
    ]
