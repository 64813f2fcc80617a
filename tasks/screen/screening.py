"""Sending candidates through the gates: nothing is lost, and every drop keeps its reason."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import Candidate, CandidateSet
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.screened import Drop, Family, Flag, ScreenedSet, Unsure
from curette.schemas.settings.screen import ScreenSpec
from curette.tasks.screen.gate import Candidates, Circumstances, Gate, Outcome
from curette.tasks.screen.labelling import label_concepts

ABSORBING = 0.05
"""Share of the proposed that one concept may stand for without a warning."""
FEWEST_ABSORBED = 5
"""Members below which a share says nothing."""


def screen(candidates: CandidateSet, circumstances: Circumstances, spec: ScreenSpec) -> ScreenedSet:
    """Send the candidates through the gates of the spec, in its order.

    What was found among images has no words but, where it was named, a statement's: of these alone
    the gates `about_names` are asked, and the others pass.

    Every candidate is afterwards either kept or dropped, for one reason. A kept one may have
    gained the classes and origins of its duplicates; a dropped one is as it came. Where a later
    gate drops one that stood for others, those come back and pass that gate themselves, merged
    anew. Screening what was kept once more drops nothing, as long as the gates that count origins
    (`vacuity`, `contradiction`) come after those that merge them, and but for `groundability` and
    `near_duplicate`, whose quantiles are those of the pool they are given.
    """
    came = {c.concept_id: c for c in candidates.candidates}
    rank = {key: place for place, key in enumerate(came)}
    left = tuple(c for c in candidates.candidates if not c.found)
    known = replace(circumstances, proposed=left)
    gates = [cast(Gate, settings) for settings in spec.gates]
    place, merging = 0, next((i for i, gate in enumerate(gates) if gate.merges), len(gates))
    outcomes: dict[int, Outcome] = {}
    dropped: list[Drop] = []
    while place < len(gates):
        if not (gates[place].asks and place in outcomes):  # nobody is asked twice
            outcome = outcomes[place] = gates[place].decide(left, known)
            dropped += outcome.dropped
            left = outcome.kept
            if not gates[place].merges and (back := _behind(dropped, outcome.dropped)):
                released = {c.concept_id for c in back}
                dropped = [d for d in dropped if d.candidate.concept_id not in released]
                left = tuple(sorted((*left, *back), key=lambda c: rank[c.concept_id]))
                place = merging - 1
        place += 1
    ran = [outcomes[place] for place in sorted(outcomes)]
    families = _families(left, dropped)
    found, unfit = _judge_names([c for c in candidates.candidates if c.found], gates, known)
    dropped += unfit
    return ScreenedSet(
        kept=(*left, *found),
        dropped=tuple(
            d.model_copy(update={"candidate": came[d.candidate.concept_id]}) for d in dropped
        ),
        gates=spec.names,
        families=families,
        unsure=_least_sure_first([u for o in ran for u in o.unsure], dropped),
        flags=(
            *(flag for outcome in ran for flag in outcome.flags),
            *_absorbing(left, families, len(came)),
        ),
        judge=next((o.judge for o in ran if o.judge), None),
        usage=sum((o.usage for o in ran), Usage()),
        labelled=label_concepts(candidates.candidates, circumstances.attributes),
    )


def _judge_names(
    found: Sequence[Candidate], gates: Sequence[Gate], known: Circumstances
) -> tuple[Candidates, list[Drop]]:
    """Return what was found among images and is named well or not at all, and what is not."""
    unnamed = tuple(c for c in found if c.found and not c.found.name)
    named = tuple(c for c in found if c not in unnamed)
    dropped: list[Drop] = []
    for gate in gates:
        if gate.about_names and named:
            outcome = gate.decide(named, known)
            dropped += outcome.dropped
            named = outcome.kept
    return tuple(c for c in found if c in {*unnamed, *named}), dropped


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


def _behind(dropped: Sequence[Drop], last: Sequence[Drop]) -> Candidates:
    """Return those that stood behind what was dropped last, as they were when they were merged."""
    gone = {d.candidate.concept_id for d in last}
    return tuple(d.candidate for d in dropped if d.evidence.get("kept_id") in gone)


def _absorbing(
    kept: Sequence[Candidate], families: Sequence[Family], proposed: int
) -> Iterator[Flag]:
    """Yield a warning for each concept that stands for a large part of what was proposed."""
    texts = {c.concept_id: c.text for c in kept}
    for family in families:
        share = len(family.members) / proposed
        if share > ABSORBING and len(family.members) >= FEWEST_ABSORBED:
            yield Flag(
                gate="near_duplicate",
                concept_ids=(family.concept_id,),
                warning=f"'{texts[family.concept_id]}' stands for {len(family.members)} others, "
                f"{share:.0%} of all that was proposed: look whether they say the same",
                evidence={"members": len(family.members), "share": round(share, 4)},
            )


def _families(kept: Sequence[Candidate], dropped: Sequence[Drop]) -> tuple[Family, ...]:
    """Return whom each kept concept stands for, directly or through one that it stands for."""
    heirs = {
        d.candidate.concept_id: str(d.evidence["kept_id"])
        for d in dropped
        if "kept_id" in d.evidence
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
