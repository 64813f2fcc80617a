"""The contradiction gate: two statements about one class of which only one can be true.

"Regular border" and "irregular border" contradict each other where both were proposed for the same
class. The encoder cannot tell which of the two was meant, and a class that has both has neither.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from curette.schemas.candidates import Candidate
from curette.tasks.screen.contrasts import contradict, without_negation
from curette.tasks.screen.gate import (
    Candidates,
    Circumstances,
    Doubt,
    Finding,
    Gate,
    Outcome,
    doubt_about,
    drop,
)
from curette.tasks.screen.wording import content_stems


class ContradictionGate(Gate, frozen=True):
    """The settings of the gate: it has none."""

    kind: Literal["contradiction"] = "contradiction"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:  # noqa: ARG002
        """Drop the less supported of two that contradict each other; doubt both where none is."""
        found = find_contradictions(left)
        lost = losers(left, found)
        undecided = [p for p in found if p.stronger not in lost and p.weaker not in lost]
        return Outcome(
            kept=tuple(c for place, c in enumerate(left) if place not in lost),
            dropped=tuple(
                drop(left[place], self.kind, _finding(pair, left[pair.stronger]))
                for place, pair in sorted(lost.items())
            ),
            unsure=tuple(
                doubt_about(left[one], self.kind, Doubt(0, f"contradicts '{left[other].text}'"))
                for pair in undecided
                for one, other in ((pair.stronger, pair.weaker), (pair.weaker, pair.stronger))
            ),
        )


@dataclass(frozen=True)
class Contradiction:
    """Two statements, by their places, that cannot both be true of a class."""

    stronger: int
    """The one of more origins; of equals, the first."""
    weaker: int
    words: tuple[str, ...]
    """Stems by which they contradict each other; one where it is a negation."""
    shared: tuple[str, ...]
    """Keys of the classes that both were proposed for."""


def find_contradictions(candidates: Sequence[Candidate]) -> list[Contradiction]:
    """Return the pairs that share a class and differ in one pair of opposites or one negation.

    Everything else must be the same: a raised centre does not contradict a flat border. Statements
    are looked up by what is left of them without one word, so the time grows with their number and
    not with its square, as long as few share all other words.
    """
    found = []
    for one, other, words in sorted(set(_opposed(candidates))):
        shared = tuple(k for k in candidates[one].classes if k in candidates[other].classes)
        if shared:
            origins = len(candidates[one].origins), len(candidates[other].origins)
            pair = (one, other) if origins[0] >= origins[1] else (other, one)
            found.append(Contradiction(*pair, words, shared))
    return found


def losers(
    candidates: Sequence[Candidate], found: Sequence[Contradiction]
) -> dict[int, Contradiction]:
    """Return which statements go, and for which rival that stays.

    A statement goes where its rival has more origins and speaks of all its classes. The best
    supported decide first, so one that goes itself drives nobody out.
    """
    lost: dict[int, Contradiction] = {}
    for pair in sorted(found, key=lambda p: (-len(candidates[p.stronger].origins), p.stronger)):
        stronger, weaker = candidates[pair.stronger], candidates[pair.weaker]
        outnumbered = len(stronger.origins) > len(weaker.origins)
        if outnumbered and pair.stronger not in lost and {*weaker.classes} <= {*pair.shared}:
            lost.setdefault(pair.weaker, pair)
    return lost


def _opposed(candidates: Sequence[Candidate]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield places, the smaller first, and the words that oppose them."""
    without_one: defaultdict[frozenset[str], list[tuple[int, str]]] = defaultdict(list)
    positive: defaultdict[frozenset[str], list[tuple[int, frozenset[str]]]] = defaultdict(list)
    for place, candidate in enumerate(candidates):
        said = content_stems(candidate.text)
        stems = frozenset(said)
        if len(stems) < len(said):  # "uniform or non-uniform"
            continue
        bare = without_negation(stems)
        negations = stems - bare
        for stem in _committed(bare) if not negations else ():  # two opposites may both be denied
            for before, other in without_one[stems - {stem}]:
                if contradict(stem, other):
                    yield before, place, (other, stem)
            without_one[stems - {stem}].append((place, stem))
        for before, denied in positive[bare]:
            if bare and bool(denied) != bool(negations):
                yield before, place, tuple(sorted(denied | negations))
        positive[bare].append((place, negations))


def _committed(stems: frozenset[str]) -> list[str]:
    """Return the stems of a statement that takes a side: "smooth or rough" contradicts nothing."""
    if any(contradict(a, b) for a in stems for b in stems):
        return []
    return sorted(stems)


def _finding(pair: Contradiction, rival: Candidate) -> Finding:
    return Finding(
        f"contradicts '{rival.text}', which was proposed more often for the same class",
        {
            "rival": rival.text,
            "rival_id": rival.concept_id,
            "rival_origins": len(rival.origins),
            "words": [*pair.words],
            "classes": [*pair.shared],
        },
    )
