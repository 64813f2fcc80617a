"""The screened set: which candidates may be selected, and why the others may not."""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, model_validator

from schemas.artifact import JsonArtifact
from schemas.candidates import Candidate

GateName = Literal["length", "class_leak", "visual", "exact_duplicate", "near_duplicate"]


class ScreenSpec(BaseModel, frozen=True, extra="forbid"):
    """Which gates a candidate must pass, in which order, and their thresholds."""

    gates: tuple[GateName, ...] = Field(
        default=("length", "class_leak", "visual", "exact_duplicate", "near_duplicate"),
        description="the gates, in order; the first that drops a candidate gives the reason",
    )
    min_words: int = Field(default=1, ge=1)
    max_words: int = Field(default=16, ge=1)
    min_characters: int = Field(default=3, ge=1)
    max_characters: int = Field(default=120, ge=1)

    near_duplicate_cosine: float = Field(
        default=0.95, gt=0, le=1, description="text vectors at least this alike are duplicates"
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if len(set(self.gates)) != len(self.gates):
            raise ValueError("a gate stands twice in `gates`")
        if self.min_words > self.max_words or self.min_characters > self.max_characters:
            raise ValueError("a smallest length is above the largest")
        return self


class Drop(BaseModel, frozen=True):
    """A candidate that a gate dropped."""

    candidate: Candidate
    gate: GateName
    reason: str = Field(description="what the gate found, in words a reader understands")
    evidence: dict[str, Any] = Field(
        default_factory=dict, description="the matched words, the twin, the cosine"
    )


class ScreenedSet(JsonArtifact, frozen=True):
    """Kept and dropped candidates; together they are the candidates that came in."""

    kind: ClassVar[str] = "screened"

    kept: tuple[Candidate, ...]
    dropped: tuple[Drop, ...]
    gates: tuple[GateName, ...] = Field(description="the gates that ran, in order")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        ids = [c.concept_id for c in (*self.kept, *(d.candidate for d in self.dropped))]
        if len(set(ids)) != len(ids):
            raise ValueError("a candidate stands twice among the kept and the dropped")
        return self
