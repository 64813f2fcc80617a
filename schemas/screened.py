"""The screened set: which candidates may be selected, and why the others may not."""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, computed_field, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.candidates import Candidate
from curette.schemas.images import ANNOTATION, ATTRIBUTE, TruthSource, is_column
from curette.schemas.llm import Usage
from curette.schemas.review import ReviewFacts


class Drop(BaseModel, frozen=True):
    """A candidate that a gate dropped."""

    candidate: Candidate
    gate: str = Field(description="its name, or `review`: a person, who comes after the gates")
    reason: str = Field(description="what the gate found, in words a reader understands")
    evidence: dict[str, Any] = Field(
        default_factory=dict, description="the matched words, the twin, the cosine, the votes"
    )


class Unsure(BaseModel, frozen=True):
    """A candidate, kept or dropped, about which a gate might have decided otherwise."""

    concept_id: str
    gate: str
    sure: float = Field(ge=0, le=1, description="0: as good as drawn by lot; 1: certain")
    why: str = Field(description="continues a sentence that begins with the concept")


class Flag(BaseModel, frozen=True):
    """A warning about concepts that were let through."""

    gate: str
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


class Believed(BaseModel, frozen=True):
    """A probability as it is believed to be, and within which bounds with 95 %."""

    mean: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class Visibility(BaseModel, frozen=True):
    """What the judge's verdicts are worth, its errors on control statements taken into account.

    See `tasks/methods/statistics/judged.py` for the priors.
    """

    verdicts: Proportion = Field(description="statements called visible, of those with a verdict")
    share: Believed = Field(description="of visible statements, of those with a verdict")
    rogan_gladen: float = Field(description="the same without priors: one number, no interval")
    called_visible: Believed = Field(description="probability of being visible where called so")
    called_not_visible: Believed = Field(description="the same where called not visible")


class JudgeReport(BaseModel, frozen=True):
    """What the judge said, and how far it can be believed."""

    model: str
    votes: int = Field(description="asked for, a statement")
    sensitivity: Proportion = Field(description="visible control statements called visible")
    specificity: Proportion = Field(description="other control statements not called visible")
    min_sensitivity: float
    min_specificity: float
    believed: bool = Field(description="false: its votes dropped nothing")
    verdict: str = Field(description="whether it is believed and why, in a sentence")
    kappa: float | None = Field(
        description="Fleiss' agreement of the votes on the concepts; empty where it is undefined"
    )
    visibility: Visibility | None = Field(
        default=None, description="what its verdicts are worth; empty where they tell nothing"
    )
    why_no_visibility: str = Field(default="", description="why its verdicts tell nothing")
    judged: tuple[JudgedConcept, ...]
    planted: tuple[PlantedStatement, ...]
    problems: tuple[str, ...] = Field(
        default=(), description="why answers could not be used, one a request"
    )

    def likely(self, verdict: JudgedConcept) -> Believed | None:
        """Return how likely a statement is visible after its verdict; None where nobody knows."""
        if self.visibility is None or verdict.judge == "unjudged":
            return None
        by = self.visibility
        return by.called_visible if verdict.judge == "visible" else by.called_not_visible


class LabelledConcept(BaseModel, frozen=True):
    """A concept whose truth is known of every image of which an attribute is known."""

    concept_id: str
    attribute: str = Field(description="column of ground truth, without its prefix")
    denied: bool = Field(description="whether it is true where the attribute is not")
    source: TruthSource = Field(
        default="column",
        exclude_if=is_column,
        description="`reports`, `images`: the attribute is an annotation, named by the concept's "
        "id",
    )

    @property
    def column(self) -> str:
        """The column of the published images that decides it."""
        return f"{ATTRIBUTE if is_column(self.source) else ANNOTATION}{self.attribute}"


class ScreenedSet(JsonArtifact, frozen=True):
    """Kept and dropped candidates; together those that came in, and what reviewers reworded."""

    kind: ClassVar[str] = "screened"

    kept: tuple[Candidate, ...]
    dropped: tuple[Drop, ...]
    gates: tuple[str, ...] = Field(description="the gates that ran, in order")
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
