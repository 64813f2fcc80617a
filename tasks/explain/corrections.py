"""What would be decided if concepts were there, or not: corrections that a person asks about."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy.special import softmax

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import Truth
from curette.schemas.probe import Head
from curette.tasks.methods.correcting import Readings, read_labelled
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.features import features_of
from curette.tasks.methods.statistics.intervention import intervene

_VALUES = {"yes": True, "no": False}


@dataclass(frozen=True)
class Moved:
    """A concept and how probably the image shows it, before the corrections and after."""

    text: str
    before: float
    after: float


@dataclass(frozen=True)
class WhatIf:
    """One decision with corrections."""

    corrected: tuple[Moved, ...]
    """Those that were named; `after` is 0 or 1."""
    others: tuple[Moved, ...]
    """The other concepts that can be read, those that move most first."""
    answers: tuple[Moved, ...]
    """The classes, most probable first after the corrections."""


@dataclass(frozen=True)
class Corrections:
    """Corrections of a head's concepts, ready to be asked of any image."""

    published: ConceptDataset
    head: Head
    places: tuple[int, ...]
    """Of the labelled concepts among the selected, which are the head's."""
    readings: Readings
    present: dict[int, bool]
    """What each corrected one of them is said to be, in the order in which it was said."""

    @classmethod
    def of(cls, published: ConceptDataset, head: Head, said: Sequence[str]) -> "Corrections":
        """Read `CONCEPT=yes` and `CONCEPT=no`; the concept is told by its text, or a part of it.

        Args:
            published: what the head was trained on.
            head: with a score a selected concept.
            said: the corrections.

        Raises:
            StudyError: nothing says which images show that concept, there is no such concept, or
                what stands after it is neither yes nor no.
        """
        decided = {x.concept_id for x in published.facts.labelled}
        places = tuple(i for i, c in enumerate(published.concepts) if c.concept_id in decided)
        if not places:
            raise StudyError(
                "--correct: no selected concept is decided by ground truth, so nothing tells how "
                "its score reads; name true/false columns under `dataset.attributes`, or have "
                "reports annotated"
            )
        texts = [published.concepts[i].text for i in places]
        present: dict[int, bool] = {}
        for text in said:
            place, there = _parse(text, texts, [c.text for c in published.concepts])
            if present.setdefault(place, there) != there:
                raise StudyError(
                    f"--correct: {printable(texts[place])!r} is said to be there and not to be "
                    "there; say one of them"
                )
        (readings,) = read_labelled(published, [head], np.array(places))
        return cls(published, head, places, readings, present)

    def ask(self, vector: Float32[np.ndarray, " dim"]) -> WhatIf:
        """Return what is decided about an image, and what else is read, with the corrections."""
        features = features_of(self.published, self.head, vector[None])
        logits, places = self.head.logits(features), list(self.places)
        scores, weights = features[:, places], self.head.weights[:, places]
        present = np.zeros((1, len(places)), dtype=bool)
        known = present.copy()
        for place, there in self.present.items():
            present[0, place], known[0, place] = there, True
        order = np.array([list(self.present)], dtype=np.int64)
        corrected = self.readings.each.correct(scores, present, known)
        steps = intervene(logits, weights, scores, corrected, order)
        beliefs = self.readings.beliefs(scores, logits, weights, order, Truth(present, known))
        before, after = softmax(logits[0]), softmax(steps[0, -1] + beliefs.class_evidence[0, -1])
        names = [printable(c.name) for c in self.published.facts.classes]
        texts = [printable(self.published.concepts[i].text) for i in places]
        moved = [
            Moved(text, float(old), float(new))
            for text, old, new in zip(
                texts, beliefs.concepts[0, 0], beliefs.concepts[0, -1], strict=True
            )
        ]
        others = [moved[j] for j in range(len(places)) if j not in self.present]
        return WhatIf(
            corrected=tuple(moved[j] for j in self.present),
            others=tuple(sorted(others, key=lambda m: -abs(m.after - m.before))),
            answers=tuple(
                Moved(names[k], float(before[k]), float(after[k]))
                for k in np.argsort(-after, kind="stable").tolist()
            ),
        )


def _parse(said: str, labelled: Sequence[str], known: Sequence[str]) -> tuple[int, bool]:
    """Return which labelled concept is meant, and whether it is there."""
    text, equals, value = said.rpartition("=")
    text, value = " ".join(text.split()).casefold(), value.strip().casefold()
    if not equals or value not in _VALUES:
        raise StudyError(
            f"--correct: {printable(said)!r} does not end in =yes or =no; write it as "
            f'"{printable(labelled[0])}=no"'
        )
    folded = [t.casefold() for t in labelled]
    meant = [j for j, t in enumerate(folded) if t == text] or [
        j for j, t in enumerate(folded) if text and text in t
    ]
    if len(meant) == 1:
        return meant[0], _VALUES[value]
    listed = ", ".join(repr(printable(t)) for t in labelled)
    if meant:
        raise StudyError(
            f"--correct: {printable(text)!r} may mean "
            f"{', '.join(repr(printable(labelled[j])) for j in meant)}; write more of it"
        )
    if any(text == t.casefold() for t in known):
        raise StudyError(
            f"--correct: nothing says which images show {printable(text)!r}, so it cannot be "
            f"corrected; what can be is {listed}"
        )
    near = difflib.get_close_matches(text, folded, n=1, cutoff=0)
    nearest = labelled[folded.index(near[0])]
    raise StudyError(
        f"--correct: no concept of the head is called {printable(text)!r}; nearest is "
        f"{printable(nearest)!r}, of what can be corrected: {listed}"
    )
