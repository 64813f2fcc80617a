"""The selected concepts, and the certificate that says how good the selection is."""

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.candidates import Origin

MOST_SHOWN = 32
"""Concepts of a class that are shown together: people can use no more (Ramaswamy et al. 2023)."""


class Concept(BaseModel, frozen=True):
    """One concept of the bottleneck."""

    concept_id: str
    text: str
    classes: tuple[str, ...] = Field(description="classes it was proposed for")
    selected_for: tuple[str, ...] = Field(
        description="classes whose selection picked it; if it was chosen "
        "jointly, all for which it was proposed"
    )
    discriminability: float = Field(
        ge=0, description="mutual-information score from training images, in nats"
    )
    origins: tuple[Origin, ...]


class Pick(BaseModel, frozen=True):
    """One step of the greedy selection."""

    concept_id: str
    gain: float = Field(description="what the pick added to the objective")


class ClassSelection(BaseModel, frozen=True):
    """The picks of one class, best first, and how good they provably are.

    Picks of all classes that were chosen jointly have one value and one bound together, and each
    class repeats them.
    """

    class_key: str
    pool: int = Field(description="how many candidates there were to choose from")
    picks: tuple[Pick, ...]
    value: float = Field(description="F(S)")
    upper_bound: float = Field(description="no set of this size has a larger F")
    neighbours: int | None = Field(
        default=None,
        description="coverage counts the cosine of a candidate and its nearest ones, so many with "
        "itself, as 0 beyond; none: it counts all cosines",
    )

    @property
    def certificate(self) -> float:
        """Return F(S) over its upper bound; 1 is proven optimal."""
        return self.value / self.upper_bound if self.upper_bound > 0 else 1.0

    @property
    def similarity(self) -> str:
        """Return which similarity value and bound speak of, in words."""
        if self.neighbours is None:
            return "exact"
        return f"{self.neighbours} nearest neighbours"


class ConceptSet(JsonArtifact, frozen=True):
    """The selected concepts, each once, in the order in which they were first picked."""

    kind: ClassVar[str] = "concepts"

    method: Literal["submodular", "random", "top_discriminability"]
    scope: Literal["per_class", "jointly"] = "per_class"
    concepts: tuple[Concept, ...] = Field(min_length=1)
    selections: tuple[ClassSelection, ...] = Field(description="one a class, in class order")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        ids = {c.concept_id for c in self.concepts}
        if len(ids) != len(self.concepts):
            raise ValueError("a concept stands twice")
        picked = {p.concept_id for s in self.selections for p in s.picks}
        if picked != ids:
            raise ValueError("picks and concepts differ")
        return self

    @property
    def ids(self) -> tuple[str, ...]:
        """The concepts' ids in their order."""
        return tuple(c.concept_id for c in self.concepts)

    @property
    def texts(self) -> tuple[str, ...]:
        """The concepts' texts in their order."""
        return tuple(c.text for c in self.concepts)
