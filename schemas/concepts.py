"""The selected concepts, and the certificate that says how good the selection is."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.candidates import Origin

SelectMethod = Literal["explained_variance", "labo", "random", "top"]
_ONCE_CALLED = {"submodular": "labo", "top_discriminability": "top"}


def method_once_called(name: object) -> object:
    """Return what a method of selection is called now."""
    return _ONCE_CALLED.get(name, name) if isinstance(name, str) else name


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


class SizeStep(BaseModel, frozen=True):
    """What a number of concepts loses on images that neither chose them nor trained on them."""

    concepts: int
    loss: float = Field(description="squared distance of the answer from the truth; classes alike")
    excess: float = Field(description="over the best number")
    standard_error: float = Field(description="of the excess, over groups of images")


class Sizes(BaseModel, frozen=True):
    """How many concepts are enough, by training and validation images."""

    steps: tuple[SizeStep, ...] = Field(min_length=1, description="from few to many")
    enough: int = Field(description="the smallest number that loses too little to matter")
    images: int
    groups: int


class Substitute(BaseModel, frozen=True):
    """A candidate that could stand in for a pick at no measurable loss."""

    concept_id: str
    text: str
    excess: float = Field(description="what the set loses more with it; below 0: it loses less")
    standard_error: float


class Exchange(BaseModel, frozen=True):
    """What could be exchanged for one concept."""

    concept_id: str
    substitutes: tuple[Substitute, ...] = Field(min_length=1, description="best first")


class Exchanged(BaseModel, frozen=True):
    """A pick that a person exchanged for another candidate, and what that costs."""

    concept_id: str = Field(description="what selection picked")
    text: str
    for_id: str = Field(description="what stands in its place")
    for_text: str
    reviewer: str
    reason: str = ""
    loss_before: float | None = Field(default=None, description="of the set; none: not judged")
    loss_after: float | None = None
    standard_error: float | None = Field(default=None, description="of what it loses more")


class Stability(BaseModel, frozen=True):
    """How much of the choice stays when the training groups are others."""

    resamples: int
    index: float = Field(description="Nogueira's: 1 always the same, about 0 as by chance")
    shares: dict[str, float] = Field(
        description="concept id -> in what share of the resamples it was chosen"
    )


class ToldTogether(BaseModel, frozen=True):
    """What the chosen concepts tell together about an avoided column, among images of one class."""

    told: float = Field(description="share of a value's variance that a regression explains")
    by_chance: float = Field(description="what as many scores that know nothing explain")


class ConceptSet(JsonArtifact, frozen=True):
    """The selected concepts, each once, in the order in which they were first picked."""

    kind: ClassVar[str] = "concepts"

    method: Annotated[SelectMethod, BeforeValidator(method_once_called)]
    scope: Literal["per_class", "jointly"] = "per_class"
    concepts: tuple[Concept, ...] = Field(min_length=1)
    selections: tuple[ClassSelection, ...] = Field(description="one a class, in class order")
    sizes: Sizes | None = Field(default=None, description="where validation images said how many")
    exchanges: tuple[Exchange, ...] = Field(
        default=(), description="only concepts that something could stand in for"
    )
    exchanged: tuple[Exchanged, ...] = Field(
        default=(), description="by a person, in the order in which it was done"
    )
    loss: float | None = Field(
        default=None,
        description="what the concepts lose on images that did not train, as in `SizeStep`",
    )
    stability: Stability | None = None
    avoided: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="avoided column -> concept id -> what it tells about it within classes, 0 to 1",
    )
    avoided_together: dict[str, ToldTogether] = Field(
        default_factory=dict, description="avoided column -> what all concepts tell together"
    )

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
