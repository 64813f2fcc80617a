"""The screened set: which candidates may be selected, and why the others may not."""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, computed_field, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.candidates import Candidate
from curette.schemas.images import ANNOTATION, ATTRIBUTE, TruthSource, is_column
from curette.schemas.llm import Usage
from curette.schemas.review import ReviewFacts

GateName = Literal[
    "form",
    "class_leak",
    "visual",
    "exact_duplicate",
    "judge",
    "near_duplicate",
    "vacuity",
    "contradiction",
    "groundability",
    "learnability",
    "co_occurrence",
]
ReviewGateName = Literal["review"]
"""A person, who comes after the gates; no gate of the screen's own."""


class JudgeSpec(BaseModel, frozen=True, extra="forbid"):
    """A language model that votes on what an image can show, and how it is checked itself."""

    votes: int = Field(default=3, ge=1, le=15, description="a statement; odd, so that none tie")
    statements_per_request: int = Field(
        default=10, ge=2, le=50, description="planted statements included"
    )
    min_sensitivity: float = Field(
        default=0.8, ge=0, le=1, description="share of planted visible statements called visible"
    )
    min_specificity: float = Field(
        default=0.8, ge=0, le=1, description="share of planted others not called visible"
    )

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.votes % 2 == 0:
            raise ValueError("`votes` must be odd: an even number can tie")
        return self


class ScreenSpec(BaseModel, frozen=True, extra="forbid"):
    """Which gates a candidate must pass, in which order, and their thresholds."""

    gates: tuple[GateName, ...] = Field(
        default=(
            "form",
            "class_leak",
            "visual",
            "exact_duplicate",
            "judge",
            "near_duplicate",
            "vacuity",
            "contradiction",
            "learnability",
        ),
        description="the gates, in order; the first that drops a candidate gives the reason. "
        "`judge` runs only where it is described below; groundability and co_occurrence are there "
        "to be added",
    )
    min_words: int = Field(default=1, ge=1)
    max_words: int = Field(default=16, ge=1)
    min_characters: int = Field(default=3, ge=1)
    max_characters: int = Field(default=120, ge=1)
    max_listed: int = Field(
        default=2, ge=1, description="structures that one statement may name side by side"
    )
    judge: JudgeSpec | None = Field(
        default=None, description="asks the study's language model; empty: the rules decide alone"
    )
    near_duplicate_cosine: float = Field(
        default=0.95, gt=0, le=1, description="text vectors at least this alike are duplicates"
    )
    min_share: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="groundability: share of training images that must lie above, and below, the "
        "midpoint of a concept's scores",
    )
    activation_quantile: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="groundability: a concept's five highest scores must reach on average what "
        "this share of all proposed statements fails to reach",
    )
    min_normalised_ap: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="learnability: a concept that ranks its own attribute worse is flagged",
    )
    max_jaccard: float = Field(
        default=0.95, gt=0, le=1, description="co_occurrence: more overlap is flagged"
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if len(set(self.gates)) != len(self.gates):
            raise ValueError("a gate stands twice in `gates`")
        if self.min_words > self.max_words or self.min_characters > self.max_characters:
            raise ValueError("a smallest length is above the largest")
        if self.judge and "judge" not in self.gates:
            raise ValueError("`judge` is described but is not among `gates`")
        return self

    @property
    def asks(self) -> bool:
        """Whether a language model is needed."""
        return self.judge is not None


class Drop(BaseModel, frozen=True):
    """A candidate that a gate dropped."""

    candidate: Candidate
    gate: GateName | ReviewGateName
    reason: str = Field(description="what the gate found, in words a reader understands")
    evidence: dict[str, Any] = Field(
        default_factory=dict, description="the matched words, the twin, the cosine, the votes"
    )


class Unsure(BaseModel, frozen=True):
    """A candidate, kept or dropped, about which a gate might have decided otherwise."""

    concept_id: str
    gate: GateName
    sure: float = Field(ge=0, le=1, description="0: as good as drawn by lot; 1: certain")
    why: str = Field(description="continues a sentence that begins with the concept")


class Flag(BaseModel, frozen=True):
    """A warning about concepts that were let through."""

    gate: GateName
    concept_ids: tuple[str, ...] = Field(min_length=1)
    warning: str
    evidence: dict[str, Any] = Field(default_factory=dict)


class Family(BaseModel, frozen=True):
    """A kept concept and the dropped ones that it stands for, those of its members included."""

    concept_id: str
    members: tuple[str, ...] = Field(min_length=1, description="ids of dropped concepts")


class Proportion(BaseModel, frozen=True):
    """A share with its 95 % interval after Wilson (JASA 22, 1927)."""

    count: int = Field(ge=0)
    of: int = Field(ge=0)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    @property
    def share(self) -> float:
        """Return count / of; 0 where there was nothing."""
        return self.count / self.of if self.of else 0.0


class Votes(BaseModel, frozen=True):
    """How the judge voted on one statement."""

    text: str
    yes: int = Field(ge=0, description="votes that an image can show it")
    no: int = Field(ge=0)
    asked: int = Field(gt=0, description="votes asked for; answers that never came included")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def agreement(self) -> float:
        """How far the votes agree: |yes - no| / asked."""
        return abs(self.yes - self.no) / self.asked


class JudgedConcept(Votes, frozen=True):
    """Both verdicts on one concept."""

    concept_id: str
    judge: Literal["visible", "not_visible", "unjudged"] = Field(
        description="what most of the votes asked for say; an answer that never came is no vote"
    )
    rules: Literal["visible", "not_visible"] = Field(description="of the gate `visual`")
    rules_reason: str = Field(default="", description="why the rules call it not visible")


class PlantedStatement(Votes, frozen=True):
    """Votes on a statement whose answer is known."""

    visible: bool


class JudgeReport(BaseModel, frozen=True):
    """What the judge said, and how far it can be believed."""

    model: str
    votes: int = Field(description="asked for, a statement")
    sensitivity: Proportion = Field(description="planted visible statements called visible")
    specificity: Proportion = Field(description="planted others not called visible")
    min_sensitivity: float
    min_specificity: float
    believed: bool = Field(description="false: its votes dropped nothing")
    verdict: str = Field(description="whether it is believed and why, in a sentence")
    kappa: float | None = Field(
        description="Fleiss' agreement of the votes on the concepts; empty where it is undefined"
    )
    judged: tuple[JudgedConcept, ...]
    planted: tuple[PlantedStatement, ...]
    problems: tuple[str, ...] = Field(
        default=(), description="why answers could not be used, one a request"
    )


class LabelledConcept(BaseModel, frozen=True):
    """A concept whose truth is known of every image of which an attribute is known."""

    concept_id: str
    attribute: str = Field(description="column of ground truth, without its prefix")
    denied: bool = Field(description="whether it is true where the attribute is not")
    source: TruthSource = Field(
        default="column",
        exclude_if=is_column,
        description="`reports`: the attribute is an annotation, named by the concept's id",
    )

    @property
    def column(self) -> str:
        """The column of the published images that decides it."""
        return f"{ANNOTATION if self.source == 'reports' else ATTRIBUTE}{self.attribute}"


class ScreenedSet(JsonArtifact, frozen=True):
    """Kept and dropped candidates; together those that came in, and what reviewers reworded."""

    kind: ClassVar[str] = "screened"

    kept: tuple[Candidate, ...]
    dropped: tuple[Drop, ...]
    gates: tuple[GateName | ReviewGateName, ...] = Field(description="the gates that ran, in order")
    families: tuple[Family, ...] = Field(
        default=(), description="kept concepts that stand for duplicates"
    )
    unsure: tuple[Unsure, ...] = Field(default=(), description="the least sure first")
    flags: tuple[Flag, ...] = ()
    labelled: tuple[LabelledConcept, ...] = Field(
        default=(), description="kept or dropped ones that the images' ground truth decides"
    )
    judge: JudgeReport | None = None
    usage: Usage = Field(default=Usage(), description="what the judge has cost; nothing else")
    review: ReviewFacts | None = Field(
        default=None, description="what a person decided; empty before the stage `review`"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        kept = {c.concept_id for c in self.kept}
        dropped = {d.candidate.concept_id for d in self.dropped}
        if len(kept | dropped) != len(self.kept) + len(self.dropped):
            raise ValueError("a candidate stands twice among the kept and the dropped")
        members = [m for family in self.families for m in family.members]
        if len(set(members)) != len(members) or not dropped.issuperset(members):
            raise ValueError("a family's member was not dropped, or is in two families")
        if not kept.issuperset(f.concept_id for f in self.families):
            raise ValueError("a family stands behind a concept that was not kept")
        return self
