"""Of statements that say the same, one stays and takes over the others' links and origins."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curette.schemas.candidates import Candidate
from curette.tasks.screen.gate import Candidates, Finding, Outcome, drop


@dataclass(frozen=True)
class Twin:
    """What stands in for a dropped statement."""

    kept: int
    """Its place among the statements."""
    why: str
    """Begins the reason, which ends with the words of the one that is kept."""
    evidence: Mapping[str, Any]


def twins_of(forms: Sequence[Hashable], order: Sequence[int]) -> dict[int, int]:
    """Return place -> place of the first in `order` that has the same form."""
    first: dict[Hashable, int] = {}
    twins = {}
    for place in order:
        kept = first.setdefault(forms[place], place)
        if kept != place:
            twins[place] = kept
    return twins


def preferred(candidates: Sequence[Candidate]) -> list[int]:
    """Return places: the most often proposed first, then the shortest, then the first."""
    return sorted(
        range(len(candidates)),
        key=lambda i: (-len(candidates[i].origins), len(candidates[i].text), i),
    )


def one_of_each(
    gate: str, left: Candidates, twins: Mapping[int, Twin], class_keys: Sequence[str]
) -> Outcome:
    """Let one of several equal candidates through, with all their links."""
    return Outcome(
        kept=merge_twins(left, {place: twin.kept for place, twin in twins.items()}, class_keys),
        dropped=tuple(
            drop(left[place], gate, _finding(twin, left[twin.kept]))
            for place, twin in sorted(twins.items())
        ),
    )


def merge_twins(
    candidates: Sequence[Candidate], twins: Mapping[int, int], class_keys: Sequence[str]
) -> Candidates:
    """Return the kept candidates with the classes and origins of those they stand for."""
    families: dict[int, list[Candidate]] = {
        place: [c] for place, c in enumerate(candidates) if place not in twins
    }
    for place, kept in sorted(twins.items()):
        families[kept].append(candidates[place])
    return tuple(_merged(family, class_keys) for family in families.values())


def _merged(family: Sequence[Candidate], class_keys: Sequence[str]) -> Candidate:
    if len(family) == 1:
        return family[0]
    linked = {key for candidate in family for key in candidate.classes}
    return family[0].model_copy(
        update={
            "classes": tuple(key for key in class_keys if key in linked),
            "origins": tuple(dict.fromkeys(o for candidate in family for o in candidate.origins)),
        }
    )


def _finding(twin: Twin, kept: Candidate) -> Finding:
    return Finding(
        f"{twin.why} '{kept.text}'",
        {"kept": kept.text, "kept_id": kept.concept_id, **twin.evidence},
    )
