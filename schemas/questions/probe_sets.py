"""Whether other labelled images would have taught the same concept directions."""

from pydantic import BaseModel, Field

from curette.schemas.metrics import Estimate


class ProbeSetConcept(BaseModel, frozen=True):
    """How far a concept's learned direction depends on which labelled images taught it.

    Each is the mean over splits of the training images' groups in halves, with the range that
    holds 95 % of the splits.
    """

    concept_id: str
    text: str
    cosine: Estimate = Field(description="of the directions that the two halves teach")
    by_chance: Estimate = Field(description="the same with the concept's labels dealt anew")
    contributions: Estimate = Field(
        description="share of test images on which a half's direction speaks for the other side "
        "than the one that the grounded bottleneck uses"
    )
    sensitivity: Estimate = Field(
        description="share of classes whose logit in the linear probe moves the other way along it"
    )


class ProbeSets(BaseModel, frozen=True):
    """The same of all concepts that have a direction of their own."""

    splits: int = 0
    images: int = Field(default=0, description="of the training split")
    groups: int = 0
    concepts: tuple[ProbeSetConcept, ...] = ()
    not_computable: str = ""
