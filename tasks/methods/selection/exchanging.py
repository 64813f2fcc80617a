"""What could be exchanged for a chosen concept, and what a person exchanged.

A person may put any candidate in the place of a pick; what the set then loses more is said, and
nothing else of the choice changes. Decisions about what is not picked wait until it is.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate, concept_id
from curette.schemas.concepts import Exchange, Exchanged, Substitute
from curette.schemas.review import Decision
from curette.tasks.methods.selection.explained_variance import ClassVariance
from curette.tasks.methods.selection.judging import Judge, stand_ins

_MOST_EXCHANGED = 32  # picks

_Links = Bool[np.ndarray, "candidate class"]
_Vectors = Float[np.ndarray, "candidate dim"]
_Picks = Int64[np.ndarray, " pick"]


def exchange_picks(
    candidates: Sequence[Candidate],
    vectors: _Vectors,
    links: _Links,
    picks: _Picks,
    decisions: Sequence[Decision],
    judge: Judge | None,
) -> tuple[_Picks, tuple[Exchanged, ...]]:
    """Put what a person wants in the place of picks, and say what each exchange costs.

    Args:
        candidates: what can be chosen.
        vectors: theirs.
        links: which was proposed for which class.
        picks: as they were chosen.
        decisions: of the verdict `exchange`.
        judge: labelled images that say what it costs; none: nothing is said.

    Raises:
        StudyError: what should stand in is no candidate, is chosen already, or leaves a class
            without a concept.
    """
    row = {candidate.concept_id: i for i, candidate in enumerate(candidates)}
    made: list[Exchanged] = []
    waiting = list(decisions)
    while decision := next((d for d in waiting if row.get(d.concept_id, -1) in picks), None):
        waiting.remove(decision)  # what it brings in may be exchanged, too
        other = row.get(concept_id(decision.new_text), -1)
        changed = np.where(picks == row[decision.concept_id], other, picks)
        if why := _why_not(links, picks, changed, other):
            raise StudyError(
                f"review: {decision.reviewer} exchanged '{decision.text}' for "
                f"'{decision.new_text}', but {why}. Take one of those that the review sheet or the "
                "report says could stand in, or decide `keep`."
            )
        before, after, error = _cost(judge, vectors, picks, changed)
        made.append(
            Exchanged(
                concept_id=decision.concept_id,
                text=decision.text,
                for_id=candidates[other].concept_id,
                for_text=candidates[other].text,
                reviewer=decision.reviewer,
                reason=decision.reason,
                loss_before=before,
                loss_after=after,
                standard_error=error,
            )
        )
        picks = changed
    return picks, tuple(made)


def _why_not(links: _Links, picks: _Picks, changed: _Picks, other: int) -> str:
    if other < 0:
        return "no statement that was let through says so"
    if other in picks:
        return "that is chosen already"
    if (links[picks].any(axis=0) & ~links[changed].any(axis=0)).any():
        return "a class would be left without a concept that was proposed for it"
    return ""


def _cost(
    judge: Judge | None, vectors: _Vectors, picks: _Picks, changed: _Picks
) -> tuple[float | None, float | None, float | None]:
    if judge is None:
        return None, None, None
    before, after = (judge.losses(lambda _, s=some: vectors[s]) for some in (picks, changed))  # type: ignore[misc]
    return judge.mean(before), judge.mean(after), judge.excess(after, before).standard_error


def find_exchanges(
    candidates: Sequence[Candidate],
    vectors: _Vectors,
    links: _Links,
    problem: ClassVariance,
    picks: _Picks,
    judge: Judge,
) -> tuple[Exchange, ...]:
    """Return what could stand in for each pick, so that every class keeps a concept."""
    if len(picks) > _MOST_EXCHANGED:
        return ()

    def may(pick: int, candidate: int) -> bool:
        others = [row for row in picks.tolist() if row != pick]
        return bool((links[[*others, candidate]].any(axis=0) >= links[picks].any(axis=0)).all())

    found = stand_ins(judge, vectors, problem, picks, may)
    return tuple(
        Exchange(
            concept_id=candidates[pick].concept_id,
            substitutes=tuple(
                Substitute(
                    concept_id=candidates[s.candidate].concept_id,
                    text=candidates[s.candidate].text,
                    excess=s.excess.loss,
                    standard_error=s.excess.standard_error,
                )
                for s in of_pick
            ),
        )
        for pick in picks.tolist()
        if (of_pick := sorted((s for s in found if s.pick == pick), key=lambda s: s.excess.loss))
    )
