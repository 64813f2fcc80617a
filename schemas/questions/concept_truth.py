"""Whether scores find the concepts they are named after, and heads weigh these rightly."""

from typing import Literal

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.images import TruthSource, is_column
from curette.schemas.metrics import Estimate


class ConceptFinding(BaseModel, frozen=True):
    """Whether a score finds its concept on the test images where its truth is known."""

    concept_id: str
    text: str
    attribute: str
    denied: bool = Field(description="whether it is true where the attribute is not")
    labels_from: TruthSource = Field(
        default="column", exclude_if=is_column, description="who says which images show it"
    )
    score: Literal["text", "grounded", "borrowed"] = Field(
        description="cosine with the concept's text vector, or its grounding function, or that "
        "which another study's images taught"
    )
    present: int = Field(description="images that show it")
    absent: int
    auroc: Estimate | None = Field(description="nothing where all images show it, or none")
    within_class_auroc: Estimate | None = Field(
        description="over pairs of one class: whether it finds the concept or only the class"
    )
    normalised_ap: Estimate | None = Field(description="methods/statistics/average_precision.py")
    chance_95: float | None = Field(description="AUROC that 1 in 20 permutations exceeds")
    p_value: float | None = Field(description="by permutation of groups, of this concept alone")
    family_p_value: float | None = Field(description="corrected for the number of concepts")
    importance: float = Field(
        description="share of what the concept bottleneck's logits move by when a score does"
    )

    @property
    def is_found(self) -> bool:
        """Whether the score finds the concept beyond what is left to chance: corrected p < .05."""
        return self.family_p_value is not None and self.family_p_value < 0.05


class ConceptPair(BaseModel, frozen=True):
    """Two concepts that the test images could not tell apart."""

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int


class ImportanceMatch(BaseModel, frozen=True):
    """CGIM: a mean cosine over concepts between truth and a head, and with other concepts' truth.

    Shares and scores are positive, so any two agree to a degree: what counts is the excess.
    """

    of: Literal["weights", "predicted", "product"]
    value: float
    of_others: float


class Existence(BaseModel, frozen=True):
    """CEM: of the concepts that speak most for each decision, the share that is there."""

    reasons: int = Field(description="concepts looked at for each decision")
    share: Estimate
    chance: float = Field(description="what labelled concepts drawn at random would reach")


class HeadConcepts(BaseModel, frozen=True):
    """Whether a head weighs concepts as the truth would have it."""

    head: str
    head_kind: HeadKind
    importance: tuple[ImportanceMatch, ...] = ()
    existence: tuple[Existence, ...] = ()


class ConceptQuality(BaseModel, frozen=True):
    """What ground truth about the concepts says of their scores and of the heads on them."""

    labelled: int = Field(description="selected concepts that ground truth decides")
    unlabelled: int
    not_computable: str = Field(default="", description="why nothing here could be computed")
    findings: tuple[ConceptFinding, ...] = ()
    pairs: tuple[ConceptPair, ...] = ()
    pairs_found: int = 0
    heads: tuple[HeadConcepts, ...] = ()
