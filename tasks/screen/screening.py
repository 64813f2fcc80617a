"""Sending candidates through the gates: nothing is lost, and every drop keeps its reason."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import Candidate, CandidateSet
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.screened import Drop, Family, ScreenedSet, Unsure
from curette.schemas.settings.screen import ScreenSpec
from curette.tasks.screen.gate import Circumstances, Gate
from curette.tasks.screen.labelling import label_concepts


def screen(candidates: CandidateSet, circumstances: Circumstances, spec: ScreenSpec) -> ScreenedSet:
    """Send the candidates through the gates of the spec, in its order.

    Every candidate is afterwards either kept or dropped, for one reason. A kept one may have
    gained the classes and origins of its duplicates; a dropped one is as it came. Screening what
    was kept once more drops nothing, as long as the gates that count origins (`vacuity`,
    `contradiction`) come after those that merge them, and but for `groundability`, whose quantile
    is that of the pool it is given.
    """
    came = {c.concept_id: c for c in candidates.candidates}
    known = replace(circumstances, proposed=candidates.candidates)
    left = candidates.candidates
    outcomes = []
    for settings in spec.gates:
        outcomes.append(cast(Gate, settings).decide(left, known))
        left = outcomes[-1].kept
    dropped = [d for outcome in outcomes for d in outcome.dropped]
    return ScreenedSet(
        kept=left,
        dropped=tuple(
            d.model_copy(update={"candidate": came[d.candidate.concept_id]}) for d in dropped
        ),
        gates=spec.names,
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
