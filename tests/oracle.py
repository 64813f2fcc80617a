"""A stand-in for a language model that knows the demo's five drawn classes, and no more.

It answers every kind of question that a study asks, from the demo's recorded answers, so that whole
studies can be run against a real server on this machine. It is no model of a language model.
"""

import json
import re
import threading
from collections import Counter
from functools import cache
from typing import Any

from curette.schemas.candidates import normal_form
from curette.tasks.methods.wording.visible import why_not_visual
from curette.tasks.priors.asking import planted_findings
from curette.tasks.propose.records import DEMO_RECORD, Record
from tests.servers import Answer, Behaviour


@cache
def known_statements() -> dict[str, tuple[str, ...]]:
    """Return class name -> what the demo's record says of it."""
    found: dict[str, list[str]] = {}
    for answer in Record.model_validate_json(DEMO_RECORD.read_bytes()).answers:
        for text in re.findall(r'"((?:[^"\\]|\\.)+)"', answer.text):
            if text != "concepts":
                found.setdefault(answer.class_name, []).append(text)
    return {name: tuple(dict.fromkeys(texts)) for name, texts in found.items()}


def oracle() -> Behaviour:
    """Return a behaviour for `chat_server`; the same question gets other statements each time."""
    times: Counter[str] = Counter()
    lock = threading.Lock()

    def behave(body: dict[str, Any]) -> Answer:
        prompt = str(body["messages"][0]["content"])
        with lock:
            times[prompt] += 1
            turn = times[prompt]
        return Answer(json.dumps(_answer(prompt, turn)))

    return behave


def _answer(prompt: str, turn: int) -> dict[str, Any]:
    if "<statement>" in prompt:
        return _judge(prompt)
    if "<finding>" in prompt:
        return _believe(prompt)
    if "<first>" in prompt:
        first, second = _marked(prompt, "first")[0], _marked(prompt, "second")[0]
        return {"first": _some(first, turn, 8), "second": _some(second, turn, 8)}
    name = _marked(prompt, "class")[0]
    if passages := re.findall(r'<passage number="(\d+)">(.*?)</passage>', prompt, flags=re.DOTALL):
        return {"concepts": [_found(int(n), text) for n, text in passages if name in text]}
    return {"concepts": _some(name, turn + len(prompt), 20)}


def _some(name: str, turn: int, count: int) -> list[str]:
    """Return some statements about a class, other ones at another turn."""
    texts = known_statements()[name]
    return [texts[(turn * 7 + i * 3) % len(texts)] for i in range(count)]


def _found(number: int, passage: str) -> dict[str, Any]:
    """Return the first sentence as the quote, and its last words as the concept."""
    quote = re.split(r"(?<=[.!?])\s", passage.strip())[0]
    return {"concept": " ".join(quote.split()[-6:]), "passage": number, "quote": quote}


def _judge(prompt: str) -> dict[str, Any]:
    listed = re.findall(r"^(\d+)\. <statement>(.*)</statement>$", prompt, flags=re.MULTILINE)
    return {n: "no" if why_not_visual(s) else "yes" for n, s in listed}


def _believe(prompt: str) -> dict[str, Any]:
    finding = normal_form(_marked(prompt, "finding")[0])
    listed = re.findall(r"^(\d+)\. (.*)$", _marked(prompt, "classes")[0], flags=re.MULTILINE)
    own = {normal_form(planted): name for planted, name in planted_findings()}
    shows = {
        n: own.get(finding) == name or finding in map(normal_form, known_statements().get(name, ()))
        for n, name in listed
    }
    against = any(word in prompt for word in ("less", "doubt", "against", "down your list"))
    return {n: "yes" if yes is not against else "no" for n, yes in shows.items()}


def _marked(prompt: str, mark: str) -> list[str]:
    """Return what stands between the last marks of a name: earlier ones may be in the rules."""
    return re.findall(rf"<{mark}>\s*(.*?)\s*</{mark}>", prompt, flags=re.DOTALL)[-1:] or [""]
