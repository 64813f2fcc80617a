"""Applying a person's decisions to a screened set; they overrule its gates."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import Candidate, CandidateSet, ReviewOrigin, concept_id
from curette.schemas.images import ClassLabel
from curette.schemas.review import AppliedDecision, Decision, Decisions, ReviewFacts
from curette.schemas.screened import Drop, Family, ScreenedSet, Unsure


def merge_decisions(earlier: Decisions, later: Sequence[Decision]) -> Decisions:
    """Return all decisions, the later one where both are about the same concept.

    They are sorted by id, so that the same decisions are the same artifact.

    Raises:
        StudyError: a concept would be reworded to one that another decision does away with.
    """
    by_id = {d.concept_id: d for d in (*earlier.decisions, *later)}
    merged = tuple(by_id[key] for key in sorted(by_id))
    try:
        return Decisions(study=earlier.study, decisions=merged)
    except ValidationError as error:
        problems = "; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())
        raise StudyError(f"two decisions exclude each other: {problems}") from None


def reworded_texts(decisions: Decisions) -> tuple[str, ...]:
    """Return the texts that reviewers wrote, which need vectors like those proposed."""
    return tuple(d.new_text for d in decisions.decisions if d.verdict == "reword")


def renamed_directions(
    decisions: Decisions, candidates: CandidateSet
) -> tuple[tuple[str, str], ...] | None:
    """Return what reviewers call what was found among images, each with what stood there.

    A name that is a statement of its own already is left out: the two become one, by its words.
    None where there is none.
    """
    found = {c.concept_id: c.text for c in candidates.candidates if c.found}
    said = {c.concept_id for c in candidates.candidates}
    renamed = tuple(
        (d.new_text, found[d.concept_id])
        for d in decisions.decisions
        if d.verdict == "reword"
        and d.concept_id in found
        and concept_id(d.new_text) not in said - {d.concept_id}
    )
    return renamed or None


def undecided(screened: ScreenedSet, decisions: Decisions) -> tuple[Unsure, ...]:
    """Return what gates were unsure of and nobody decided about, least sure first.

    Each concept once. One that another was reworded to is decided about: somebody chose its words.
    """
    decided = {d.concept_id for d in decisions.decisions}
    decided |= {concept_id(text) for text in reworded_texts(decisions)}
    least: dict[str, Unsure] = {}
    for unsure in sorted(screened.unsure, key=lambda u: u.sure):
        if unsure.concept_id not in decided:
            least.setdefault(unsure.concept_id, unsure)
    return tuple(least.values())


def apply_decisions(
    screened: ScreenedSet, decisions: Decisions, classes: Sequence[ClassLabel]
) -> ScreenedSet:
    """Return the screened set as the reviewers want it; applying it once more changes nothing.

    - keep: a concept that was dropped comes back.
    - drop: one that was kept is dropped by the gate `review`; one that was dropped stays so, for
      the reason that its gate gave.
    - reassign: other classes; a dropped concept comes back.
    - reword: another text, so another concept, with the old one's classes, origins and duplicates;
      the old text stands among the dropped. Where the new text is already a concept of the set,
      that one takes over the classes and origins.

    Decisions about concepts that are not in the set wait, listed in `review.not_found`. Exchanges
    are not applied: they are about what will be selected.

    Raises:
        StudyError: a class that the study does not have.
    """
    decisions = decisions.about_statements()
    keys = [label.key for label in classes]
    _require_known_classes(decisions, keys)
    gates = {d.candidate.concept_id: d for d in screened.dropped}
    here = gates.keys() | {c.concept_id for c in screened.kept}
    here |= {
        concept_id(d.new_text)
        for d in decisions.decisions
        if d.verdict == "reword" and d.concept_id in here
    }
    found = [d for d in decisions.decisions if d.concept_id in here]
    table = _Table(
        kept={c.concept_id: c for c in screened.kept},
        dropped=dict(gates),
        families={f.concept_id: f.members for f in screened.families},
        class_keys=keys,
    )
    # Rewording comes first: it may lead to a concept that is decided about, too.
    for decision in sorted(found, key=lambda d: d.verdict != "reword"):
        table.apply(decision)
    return ScreenedSet.model_validate(
        dict(screened)
        | {
            "kept": tuple(table.kept.values()),
            "dropped": tuple(table.dropped.values()),
            "gates": tuple(dict.fromkeys((*screened.gates, "review"))),
            "families": tuple(
                Family(concept_id=key, members=members)
                for key, members in table.families.items()
                if members
            ),
            "flags": tuple(f for f in screened.flags if table.kept.keys() >= {*f.concept_ids}),
            "review": ReviewFacts(
                applied=tuple(_applied(d, gates.get(d.concept_id)) for d in found),
                not_found=tuple(d for d in decisions.decisions if d.concept_id not in here),
                undecided=tuple(u.concept_id for u in undecided(screened, decisions)),
            ),
        }
    )


def require_every_class(
    reviewed: ScreenedSet,
    screened: ScreenedSet,
    classes: Sequence[ClassLabel],
    ref: Ref[ScreenedSet],
) -> None:
    """Refuse to go on where reviewers left nothing of a class that had concepts.

    Raises:
        StudyError: names each such class and where the decisions are.
    """
    left, had = ({key for c in s.kept for key in c.classes} for s in (reviewed, screened))
    lost = [label.name for label in classes if label.key in had - left]
    if lost:
        raise StudyError(
            f"the review left no concept for {', '.join(lost)}: every one of them was dropped or "
            f"given to another class. What was decided is kept in {ref}; decide otherwise about "
            "one concept of each, or ask for more candidates (propose.sources)."
        )


@dataclass
class _Table:
    """The concepts on a reviewer's table, in their order."""

    kept: dict[str, Candidate]
    dropped: dict[str, Drop]
    families: dict[str, tuple[str, ...]]
    class_keys: Sequence[str]

    def apply(self, decision: Decision) -> None:
        match decision.verdict:
            case "keep":
                self._take_back(decision.concept_id)
            case "drop":
                self._drop(decision)
            case "reassign":
                self._take_back(decision.concept_id)
                self._assign(decision.concept_id, {*decision.new_classes})
            case "reword":
                self._reword(decision)

    def _take_back(self, key: str) -> None:
        """Keep a concept that was dropped; it is nobody's duplicate any more."""
        drop = self.dropped.pop(key, None)
        if drop:
            self._leave_family(key)
            self.kept[key] = drop.candidate

    def _drop(self, decision: Decision) -> None:
        """Drop a concept that was kept; its duplicates stay dropped and nobody stands for them."""
        candidate = self.kept.pop(decision.concept_id, None)
        if candidate:
            self.families.pop(decision.concept_id, None)
            reason = f"{decision.reviewer}: {decision.reason or 'no reason given'}"
            self._add_drop(Drop(candidate=candidate, gate="review", reason=reason))

    def _assign(self, key: str, classes: set[str]) -> None:
        ordered = tuple(k for k in self.class_keys if k in classes)
        self.kept[key] = self.kept[key].model_copy(update={"classes": ordered})

    def _reword(self, decision: Decision) -> None:
        old_key, new_key = decision.concept_id, concept_id(decision.new_text)
        drop = self.dropped.get(old_key)
        old = drop.candidate if drop else self.kept[old_key]
        written = ReviewOrigin(reviewer=decision.reviewer, reworded_from=old.text)
        new = Candidate(
            text=decision.new_text, classes=old.classes, origins=(written, *old.origins)
        )
        self._take_back(new_key)
        if new_key in self.kept:
            self._merge(new_key, new)
            self.kept.pop(old_key, None)
        elif drop:
            self.kept[new_key] = new
        else:  # at the place of the old one
            in_place = (new if key == old_key else c for key, c in self.kept.items())
            self.kept = {c.concept_id: c for c in in_place}
        members = (*self.families.get(new_key, ()), *self.families.pop(old_key, ()), old_key)
        self._leave_family(old_key)
        self.families[new_key] = tuple(dict.fromkeys(members))
        if drop is None or drop.gate != "review":
            because = f": {decision.reason}" if decision.reason else ""
            self._add_drop(
                Drop(
                    candidate=old,
                    gate="review",
                    reason=f"reworded to '{decision.new_text}' by {decision.reviewer}{because}",
                    evidence={"gate": drop.gate, "reason": drop.reason} if drop else {},
                )
            )

    def _merge(self, key: str, other: Candidate) -> None:
        """Give a kept concept the classes and origins of another."""
        one = self.kept[key]
        origins = tuple(dict.fromkeys((*one.origins, *other.origins)))
        self.kept[key] = one.model_copy(update={"origins": origins})
        self._assign(key, {*one.classes, *other.classes})

    def _leave_family(self, key: str) -> None:
        self.families = {
            head: tuple(m for m in members if m != key) for head, members in self.families.items()
        }

    def _add_drop(self, drop: Drop) -> None:
        self.dropped[drop.candidate.concept_id] = drop


def _require_known_classes(decisions: Decisions, keys: Sequence[str]) -> None:
    unknown = [
        f"  '{d.text}' is given to {', '.join(strange)}"
        for d in decisions.decisions
        if (strange := sorted({*d.new_classes} - {*keys}))
    ]
    if unknown:
        raise StudyError(
            "decisions name classes that the dataset does not have:\n" + "\n".join(unknown) + "\n"
            f"Its classes are {', '.join(keys)}. Usually the labels changed after the review; "
            "export the sheet, correct new_classes and import it."
        )


def _applied(decision: Decision, drop: Drop | None) -> AppliedDecision:
    said = {"gate": drop.gate, "gate_reason": drop.reason} if drop else {}
    return AppliedDecision.model_validate(decision.model_dump() | said)
