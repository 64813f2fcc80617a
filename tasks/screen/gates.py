"""The gates that a candidate passes on its way to the selection, and their order.

A gate takes all candidates that are left and returns those it lets through and those it drops,
each with a reason. Most gates judge one candidate at a time, by a rule; the duplicate gates
compare them all.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.artifact import Ref, StudyError
from schemas.candidates import Candidate, CandidateSet
from schemas.embeddings import TextEmbeddings
from schemas.images import ClassLabel
from schemas.screened import Drop, GateName, ScreenedSet, ScreenSpec
from tasks.screen.class_leak import find_leak, read_class_names
from tasks.screen.duplicates import Twin, exact_twins, merge_twins, near_twins
from tasks.screen.visual import why_not_visual

Candidates = tuple[Candidate, ...]


@dataclass(frozen=True)
class Finding:
    """Why a rule drops a candidate."""

    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


Rule = Callable[[Candidate], Finding | None]
Gate = Callable[[Candidates], tuple[Candidates, tuple[Drop, ...]]]


def screen(
    candidates: CandidateSet,
    classes: Sequence[ClassLabel],
    texts: TextEmbeddings,
    spec: ScreenSpec,
) -> ScreenedSet:
    """Send the candidates through the gates of the spec, in its order.

    Every candidate is afterwards either kept or dropped, for one reason. A kept one may have
    gained the classes and origins of its duplicates; a dropped one is as it came. Screening what
    was kept once more drops nothing.

    Args:
        candidates: what was proposed.
        classes: of the whole study; no statement may name any of them.
        texts: the vector of every candidate's text.
        spec: the gates and their thresholds.
    """
    came = {c.concept_id: c for c in candidates.candidates}
    left = candidates.candidates
    dropped: list[Drop] = []
    for name in spec.gates:
        left, drops = _gate(name, classes, texts, spec)(left)
        dropped += drops
    return ScreenedSet(
        kept=left,
        dropped=tuple(
            d.model_copy(update={"candidate": came[d.candidate.concept_id]}) for d in dropped
        ),
        gates=spec.gates,
    )


def require_every_class(
    screened: ScreenedSet, classes: Sequence[ClassLabel], ref: Ref[ScreenedSet]
) -> None:
    """Refuse to go on where a class lost all its candidates.

    Raises:
        StudyError: names each such class, the gates that emptied it, and where to look.
    """
    kept = {key for candidate in screened.kept for key in candidate.classes}
    lost = []
    for label in classes:
        gates = Counter(d.gate for d in screened.dropped if label.key in d.candidate.classes)
        if gates and label.key not in kept:
            counts = ", ".join(f"{count} by {gate}" for gate, count in gates.most_common())
            lost.append(f"  {label.name}: {counts}")
    if lost:
        raise StudyError(
            "no candidate is left after the screen for\n" + "\n".join(lost) + "\n"
            "Usually the proposals only repeat a class's name or speak of treatment, symptoms or "
            f"patients. Every reason is kept in {ref}; ask for more candidates (propose.source), "
            "or leave a gate out or loosen its threshold (screen)."
        )


# --- the gates ----------------------------------------------------------------------------------


def _gate(
    name: GateName, classes: Sequence[ClassLabel], texts: TextEmbeddings, spec: ScreenSpec
) -> Gate:
    """Return a gate by its name."""
    keys = [c.key for c in classes]
    match name:
        case "length":
            return _one_by_one(name, _length_rule(spec))
        case "class_leak":
            return _one_by_one(name, _class_leak_rule(classes))
        case "visual":
            return _one_by_one(name, _visual_rule)
        case "exact_duplicate":
            return _one_of_each(name, exact_twins, keys)
        case "near_duplicate":
            return _one_of_each(
                name,
                lambda left: near_twins(
                    left, texts.take([c.text for c in left]), spec.near_duplicate_cosine
                ),
                keys,
            )


def _one_by_one(name: GateName, rule: Rule) -> Gate:
    """Return the gate that judges every candidate by a rule."""

    def gate(left: Candidates) -> tuple[Candidates, tuple[Drop, ...]]:
        judged = [(c, rule(c)) for c in left]
        return (
            tuple(c for c, finding in judged if not finding),
            tuple(_drop(c, name, finding) for c, finding in judged if finding),
        )

    return gate


def _one_of_each(
    name: GateName, find_twins: Callable[[Candidates], dict[int, Twin]], class_keys: list[str]
) -> Gate:
    """Return the gate that lets one of several equal candidates through, with all their links."""

    def gate(left: Candidates) -> tuple[Candidates, tuple[Drop, ...]]:
        twins = find_twins(left)
        return (
            merge_twins(left, twins, class_keys),
            tuple(
                _drop(left[place], name, _twin_finding(twin, left[twin.kept]))
                for place, twin in sorted(twins.items())
            ),
        )

    return gate


def _drop(candidate: Candidate, gate: GateName, finding: Finding) -> Drop:
    return Drop(candidate=candidate, gate=gate, reason=finding.reason, evidence=finding.evidence)


# --- the rules ----------------------------------------------------------------------------------


def _length_rule(spec: ScreenSpec) -> Rule:
    def rule(candidate: Candidate) -> Finding | None:
        length = {"words": len(candidate.text.split()), "characters": len(candidate.text)}
        for unit, low, high in (
            ("words", spec.min_words, spec.max_words),
            ("characters", spec.min_characters, spec.max_characters),
        ):
            if not low <= length[unit] <= high:
                return Finding(f"has {length[unit]} {unit}, not {low} to {high}", length)
        return None

    return rule


def _class_leak_rule(classes: Sequence[ClassLabel]) -> Rule:
    names = read_class_names(classes)

    def rule(candidate: Candidate) -> Finding | None:
        leak = find_leak(candidate.text, names)
        if not leak:
            return None
        return Finding(
            f"gives the class '{leak.name}' away by '{leak.words}'",
            {"class": leak.class_key, "name": leak.name, "words": [leak.words]},
        )

    return rule


def _visual_rule(candidate: Candidate) -> Finding | None:
    why = why_not_visual(candidate.text)
    if not why:
        return None
    by = ": " + ", ".join(f"'{w}'" for w in why.words) if why.words else ""
    return Finding(
        f"{why.meaning}{by}",
        {"category": why.category, "words": [*why.words], "visible": [*why.visible]},
    )


def _twin_finding(twin: Twin, kept: Candidate) -> Finding:
    evidence: dict[str, Any] = {"kept": kept.text, "kept_id": kept.concept_id}
    if twin.cosine is None:
        return Finding(f"says the same as '{kept.text}'", evidence)
    evidence |= {"cosine": twin.cosine}
    if not twin.contrast:
        return Finding(f"is nearly '{kept.text}' (cosine {twin.cosine:.3f})", evidence)
    return Finding(
        f"excludes '{kept.text}' but is nearly the same to the encoder (cosine {twin.cosine:.3f}); "
        "its classes are not carried over",
        evidence | {"contrast": [*twin.contrast]},
    )
