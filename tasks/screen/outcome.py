"""What a gate decides: who is kept, who is dropped and why, and what it was not sure of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from curette.schemas.candidates import Candidate
from curette.schemas.llm import Usage
from curette.schemas.screened import Drop, Flag, GateName, JudgeReport, Unsure

Candidates = tuple[Candidate, ...]


@dataclass(frozen=True)
class Outcome:
    """What one gate made of the candidates that were left."""

    kept: Candidates
    dropped: tuple[Drop, ...] = ()
    unsure: tuple[Unsure, ...] = ()
    flags: tuple[Flag, ...] = ()
    judge: JudgeReport | None = None
    usage: Usage = Usage()  # noqa: RUF009 - frozen


Gate = Callable[[Candidates], Outcome]


@dataclass(frozen=True)
class Finding:
    """Why a candidate is dropped."""

    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubt:
    """Why a candidate might have been decided otherwise."""

    sure: float
    why: str


Rule = Callable[[Candidate], Finding | None]
Question = Callable[[Candidate], Doubt | None]


def drop(candidate: Candidate, gate: GateName, finding: Finding) -> Drop:
    """Return the record of a drop."""
    return Drop(candidate=candidate, gate=gate, reason=finding.reason, evidence=finding.evidence)


def doubt_about(candidate: Candidate, gate: GateName, doubt: Doubt) -> Unsure:
    """Return the record of a doubt."""
    return Unsure(
        concept_id=candidate.concept_id, gate=gate, sure=round(doubt.sure, 6), why=doubt.why
    )


def one_by_one(gate: GateName, rule: Rule, question: Question = lambda _: None) -> Gate:
    """Return the gate that judges every candidate by a rule, and may doubt those it keeps."""

    def decide(left: Candidates) -> Outcome:
        judged = [(c, rule(c)) for c in left]
        kept = tuple(c for c, finding in judged if not finding)
        doubts = [(c, question(c)) for c in kept]
        return Outcome(
            kept=kept,
            dropped=tuple(drop(c, gate, finding) for c, finding in judged if finding),
            unsure=tuple(doubt_about(c, gate, doubt) for c, doubt in doubts if doubt),
        )

    return decide
