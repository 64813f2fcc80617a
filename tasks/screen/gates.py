"""The gates that a candidate passes on its way to the selection, and their order.

A gate takes all candidates that are left and returns those it lets through and those it drops,
each with a reason, and what it was not sure of. Most gates judge one candidate at a time, by a
rule; others compare them all, look at the training images or ask a language model.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import Candidate, CandidateSet
from curette.schemas.embeddings import TextEmbeddings
from curette.schemas.images import AttributePhrases, ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.screened import (
    Drop,
    Family,
    GateName,
    JudgedConcept,
    JudgeSpec,
    ScreenedSet,
    ScreenSpec,
    Unsure,
)
from curette.tasks.screen.class_leak import find_leak, read_class_names
from curette.tasks.screen.contradiction import Contradiction, find_contradictions, losers
from curette.tasks.screen.duplicates import Twin, exact_twins, merge_twins, near_twins
from curette.tasks.screen.form import why_malformed
from curette.tasks.screen.judge import Asking, hold_vote
from curette.tasks.screen.labelling import label_concepts
from curette.tasks.screen.outcome import (
    Candidates,
    Doubt,
    Finding,
    Gate,
    Outcome,
    Rule,
    doubt_about,
    drop,
    one_by_one,
)
from curette.tasks.screen.picture_gates import (
    co_occurrence_gate,
    groundability_gate,
    learnability_gate,
)
from curette.tasks.screen.training import TrainingImages
from curette.tasks.screen.vacuity import both_ways, hedge, says_it_of_every_class
from curette.tasks.screen.visual import what_is_outweighed, why_not_visual

NEEDS_IMAGES: frozenset[GateName] = frozenset({"groundability", "learnability", "co_occurrence"})
_ALMOST = 0.01
"""Cosine below the threshold of duplicates within which a kept concept is nearly one."""


@dataclass(frozen=True)
class Circumstances:
    """What gates may need to know besides the candidates."""

    classes: tuple[ClassLabel, ...]
    """Of the whole study; no statement may name any of them."""
    texts: TextEmbeddings
    """The vector of every candidate's text."""
    images: TrainingImages | None = None
    """Needed by the gates of `NEEDS_IMAGES`."""
    ask: Asking | None = None
    """Needed where the spec has a judge."""
    attributes: Mapping[str, AttributePhrases] = field(default_factory=dict)
    """Which statements the images' ground truth decides."""


def screen(candidates: CandidateSet, circumstances: Circumstances, spec: ScreenSpec) -> ScreenedSet:
    """Send the candidates through the gates of the spec, in its order.

    Every candidate is afterwards either kept or dropped, for one reason. A kept one may have
    gained the classes and origins of its duplicates; a dropped one is as it came. Screening what
    was kept once more drops nothing, as long as the gates that count origins (`vacuity`,
    `contradiction`) come after those that merge them, and but for `groundability`, whose quantile
    is that of the pool it is given.
    """
    came = {c.concept_id: c for c in candidates.candidates}
    texts = [c.text for c in candidates.candidates]
    pool = np.asarray(circumstances.texts.take(texts), dtype=np.float32)
    gates = tuple(g for g in spec.gates if g != "judge" or spec.judge)
    left = candidates.candidates
    outcomes = []
    for name in gates:
        outcomes.append(_gate(name, circumstances, pool, spec)(left))
        left = outcomes[-1].kept
    dropped = [d for outcome in outcomes for d in outcome.dropped]
    return ScreenedSet(
        kept=left,
        dropped=tuple(
            d.model_copy(update={"candidate": came[d.candidate.concept_id]}) for d in dropped
        ),
        gates=gates,
        families=_families(left, dropped),
        unsure=_least_sure_first([u for o in outcomes for u in o.unsure], dropped),
        flags=tuple(flag for outcome in outcomes for flag in outcome.flags),
        judge=next((o.judge for o in outcomes if o.judge), None),
        usage=sum((o.usage for o in outcomes), Usage()),
        labelled=label_concepts(candidates.candidates, circumstances.attributes),
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
            f"patients. Every reason is kept in {ref}; ask for more candidates (propose.sources), "
            "or leave a gate out or loosen its threshold (screen)."
        )


# --- the gates ----------------------------------------------------------------------------------


def _gate(
    name: GateName, known: Circumstances, pool: Float32[np.ndarray, "text dim"], spec: ScreenSpec
) -> Gate:
    """Return a gate by its name."""

    def vectors(left: Candidates) -> Float32[np.ndarray, "candidate dim"]:
        return np.asarray(known.texts.take([c.text for c in left]), dtype=np.float32)

    match name:
        case "form":
            gate = one_by_one(name, _form_rule(spec))
        case "class_leak":
            gate = one_by_one(name, _class_leak_rule(known.classes))
        case "visual":
            gate = one_by_one(name, _visual_rule, _visual_doubt)
        case "exact_duplicate":
            gate = _one_of_each(name, exact_twins, known)
        case "near_duplicate":
            cosine = spec.near_duplicate_cosine
            gate = _one_of_each(
                name,
                lambda left: near_twins(left, vectors(left), cosine),
                known,
                lambda left: near_twins(left, vectors(left), max(cosine - _ALMOST, 1e-6)),
            )
        case "judge":
            gate = _judge_gate(spec.judge, known.ask)
        case "vacuity":
            gate = one_by_one(name, _vacuity_rule(len(known.classes)))
        case "contradiction":
            gate = _contradiction_gate
        case "groundability":
            gate = groundability_gate(_needed(known.images, name), vectors, pool, spec)
        case "learnability":
            gate = learnability_gate(_needed(known.images, name), vectors, spec)
        case "co_occurrence":
            gate = co_occurrence_gate(_needed(known.images, name), vectors, pool, spec)
    return gate


def _needed(images: TrainingImages | None, gate: GateName) -> TrainingImages:
    if images is None:
        raise ValueError(f"the gate {gate} needs the training images' vectors")
    return images


def _one_of_each(
    name: GateName,
    find_twins: Callable[[Candidates], dict[int, Twin]],
    known: Circumstances,
    find_almost: Callable[[Candidates], dict[int, Twin]] = lambda _: {},
) -> Gate:
    """Return the gate that lets one of several equal candidates through, with all their links."""
    keys = [label.key for label in known.classes]

    def decide(left: Candidates) -> Outcome:
        twins = find_twins(left)
        kept = merge_twins(left, twins, keys)
        return Outcome(
            kept=kept,
            dropped=tuple(
                drop(left[place], name, _twin_finding(twin, left[twin.kept]))
                for place, twin in sorted(twins.items())
            ),
            unsure=tuple(
                doubt_about(kept[place], name, _twin_doubt(twin, kept[twin.kept]))
                for place, twin in sorted(find_almost(kept).items())
            ),
        )

    return decide


def _judge_gate(spec: JudgeSpec | None, ask: Asking | None) -> Gate:
    """Return the gate that drops what a judge who can be believed calls not visible."""
    if spec is None or ask is None:
        raise ValueError("the gate judge needs a JudgeSpec and a language model")

    def decide(left: Candidates) -> Outcome:
        if not left:
            return Outcome(left)
        report, usage = hold_vote(left, spec, ask)
        votes = list(zip(left, report.judged, strict=True))
        against = {v.concept_id for v in report.judged if v.judge == "not_visible"}
        against = against if report.believed else set()
        return Outcome(
            kept=tuple(c for c in left if c.concept_id not in against),
            dropped=tuple(
                drop(c, "judge", _judge_finding(v)) for c, v in votes if c.concept_id in against
            ),
            unsure=tuple(
                doubt_about(c, "judge", doubt)
                for c, v in votes
                if report.believed and (doubt := _judge_doubt(v))
            ),
            judge=report,
            usage=usage,
        )

    return decide


def _contradiction_gate(left: Candidates) -> Outcome:
    """Drop the less supported of two that contradict each other; doubt both where none is."""
    found = find_contradictions(left)
    lost = losers(left, found)
    undecided = [p for p in found if p.stronger not in lost and p.weaker not in lost]
    return Outcome(
        kept=tuple(c for place, c in enumerate(left) if place not in lost),
        dropped=tuple(
            drop(left[place], "contradiction", _contradiction_finding(pair, left[pair.stronger]))
            for place, pair in sorted(lost.items())
        ),
        unsure=tuple(
            doubt_about(left[one], "contradiction", Doubt(0, f"contradicts '{left[other].text}'"))
            for pair in undecided
            for one, other in ((pair.stronger, pair.weaker), (pair.weaker, pair.stronger))
        ),
    )


# --- the rules ----------------------------------------------------------------------------------


def _form_rule(spec: ScreenSpec) -> Rule:
    def rule(candidate: Candidate) -> Finding | None:
        why = why_malformed(candidate.text, spec)
        return Finding(why.reason, why.evidence) if why else None

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


def _visual_doubt(candidate: Candidate) -> Doubt | None:
    why = what_is_outweighed(candidate.text)
    if not why:
        return None
    return Doubt(0.5, f"{why.meaning} ('{why.words[0]}') as well as of '{why.visible[0]}'")


def _vacuity_rule(classes: int) -> Rule:
    def rule(candidate: Candidate) -> Finding | None:
        if words := hedge(candidate.text):
            return Finding(f"takes itself back: '{words}'", {"words": [words]})
        if opposites := both_ways(candidate.text):
            return Finding(
                f"says one thing or its opposite: '{opposites[0]}' or '{opposites[1]}'",
                {"words": [*opposites]},
            )
        if says_it_of_every_class(candidate, classes):
            return Finding(
                f"was proposed for all {classes} classes, so it tells none from another",
                {"classes": [*candidate.classes], "origins": len(candidate.origins)},
            )
        return None

    return rule


def _contradiction_finding(pair: Contradiction, rival: Candidate) -> Finding:
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


def _judge_finding(votes: JudgedConcept) -> Finding:
    return Finding(
        f"is not visible in one image to {votes.no} of {votes.asked} votes of the judge",
        {"yes": votes.yes, "no": votes.no, "asked": votes.asked, "rules": votes.rules},
    )


def _judge_doubt(votes: JudgedConcept) -> Doubt | None:
    if votes.judge == "unjudged":
        missing = votes.asked - votes.yes - votes.no
        return Doubt(0, f"was not judged: {missing} of {votes.asked} votes never came")
    if votes.judge == "visible" and votes.rules == "not_visible":
        return Doubt(0, f"is visible to the judge, but {votes.rules_reason}")
    if votes.agreement < 1:
        return Doubt(votes.agreement, f"split the judge: {votes.yes} yes, {votes.no} no")
    return None


def _twin_doubt(twin: Twin, kept: Candidate) -> Doubt:
    cosine = twin.cosine or 0.0
    return Doubt(0.5, f"is almost a duplicate of '{kept.text}' (cosine {cosine:.3f})")


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


# --- what is left to say -------------------------------------------------------------------------


def _families(kept: Sequence[Candidate], dropped: Sequence[Drop]) -> tuple[Family, ...]:
    """Return whom each kept concept stands for, directly or through one that it stands for."""
    heirs = {
        d.candidate.concept_id: str(d.evidence["kept_id"])
        for d in dropped
        if d.gate in ("exact_duplicate", "near_duplicate") and "contrast" not in d.evidence
    }
    members: defaultdict[str, list[str]] = defaultdict(list)
    for member in heirs:
        heir = member
        while heir in heirs:
            heir = heirs[heir]
        members[heir].append(member)
    return tuple(
        Family(concept_id=c.concept_id, members=tuple(members[c.concept_id]))
        for c in kept
        if c.concept_id in members
    )


def _least_sure_first(doubts: Sequence[Unsure], dropped: Sequence[Drop]) -> tuple[Unsure, ...]:
    """Return each concept's greatest doubt; none where another gate has dropped it for sure."""
    gates = {d.candidate.concept_id: d.gate for d in dropped}
    valid = [u for u in doubts if gates.get(u.concept_id, u.gate) == u.gate]
    least: dict[str, Unsure] = {}
    for doubt in sorted(valid, key=lambda u: u.sure):
        least.setdefault(doubt.concept_id, doubt)
    return tuple(least.values())
