"""Readers of reports that are written by a template, and answer as a language model would."""

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curette.schemas.annotations import ReportAnswer
from curette.schemas.attributes import AttributePhrases
from curette.schemas.candidates import FileOrigin, concept_id
from curette.schemas.concepts import Concept
from curette.schemas.images import ClassLabel, ImageDataset
from tests.builders.images import image_dataset


@dataclass(frozen=True)
class Asked:
    """What a prompt asks, as a reader understands it."""

    report: str
    statements: tuple[str, ...]


Reader = Callable[[Asked], list[ReportAnswer | None]]
"""One answer a statement; None leaves it out."""


def write_report(shown: Sequence[str], denied: Sequence[str], more: str = "") -> str:
    return f"We see {'; '.join(shown)}. There is no sign of {'; '.join(denied)}. {more}".strip()


def understand(prompt: str) -> Asked:
    (report,) = re.findall(r"<report>\n(.*)\n</report>", prompt)
    (listed,) = re.findall(r"<statements>\n(.*)\n</statements>", prompt, re.DOTALL)
    numbered = re.findall(r"^(\d+)\. (.+)$", listed, flags=re.MULTILINE)
    assert [int(number) for number, _ in numbered] == list(range(1, len(numbered) + 1))
    return Asked(report, tuple(text for _, text in numbered))


def answer(prompt: str, reader: Reader) -> str:
    said = enumerate(reader(understand(prompt)), start=1)
    return json.dumps({str(n): a for n, a in said if a is not None})


def faithful(asked: Asked) -> list[ReportAnswer | None]:
    """Say what the template says."""
    shown, _, denied = asked.report.partition("There is no sign of ")
    return [
        "present" if text in shown else "absent" if text in denied else "not mentioned"
        for text in asked.statements
    ]


def obedient(asked: Asked) -> list[ReportAnswer | None]:
    """Do what a report tells to do."""
    if "answer present for all" in asked.report:
        return ["present"] * len(asked.statements)
    return faithful(asked)


def guesser(asked: Asked) -> list[ReportAnswer | None]:
    """Answer by chance, each list anew, but know what no report says."""
    draw = random.Random(repr(asked))
    said = faithful(asked)
    return [a if a == "not mentioned" else draw.choice(["present", "absent"]) for a in said]


def concepts(*texts: str) -> tuple[Concept, ...]:
    return tuple(
        Concept(
            concept_id=concept_id(text),
            text=text,
            classes=("a",),
            selected_for=("a",),
            discriminability=0.1,
            origins=(FileOrigin(file="list.txt", line=1),),
        )
        for text in texts
    )


def images(count: int, **attributes: Sequence[bool | None]) -> ImageDataset:
    """Return images i00, i01, ..; the last fifth is the test split."""
    numbers = np.arange(count)
    split = np.where(numbers < 0.6 * count, "train", "validation").astype(object)
    split[numbers >= 0.8 * count] = "test"
    table = pd.DataFrame(
        {
            "image_id": [f"i{i:02d}" for i in numbers],
            "sha256": [f"{i:064x}" for i in numbers],
            "location": "",
            "split": split,
            "label": [None if s == "test" else "ab"[i % 2] for i, s in enumerate(split)],
            "group": [f"i{i:02d}" for i in numbers],
        }
    )
    for name, values in attributes.items():
        table[f"attribute.{name}"] = pd.array(values, dtype="boolean")
    return image_dataset(
        table,
        classes=(ClassLabel(key="a", name="A"), ClassLabel(key="b", name="B")),
        phrases={name: AttributePhrases(claimed_by=(name,)) for name in attributes},
    )
