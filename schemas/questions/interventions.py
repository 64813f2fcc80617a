"""What heads gain where a person corrects the concepts that were read wrong."""

from typing import Literal

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate

InterventionOrder = Literal["most uncertain first", "most weighted first", "random", "propagated"]
"""The last is the first, with what each correction tells of other concepts and of the class."""


class InterventionCurve(BaseModel, frozen=True):
    """A head's accuracy after 0, 1, .. labelled concepts of each image were looked at."""

    head: str
    head_kind: HeadKind
    order: InterventionOrder
    accuracy: tuple[Estimate, ...]


class Propagation(BaseModel, frozen=True):
    """What it brings that corrections tell of other concepts, over 1, 2, .. looks at an image.

    Positive is better. It stands beside corrections that count by themselves, and beside a model
    in which concepts depend on each other by the class alone, so that what is left is owed to
    dependence within classes.
    """

    head: str
    head_kind: HeadKind
    model: Literal["pairwise", "normal"] = Field(description="normal where concepts are many")
    accuracy: Estimate | None = Field(description="of the head, more than with corrections alone")
    accuracy_within: Estimate | None = Field(description="more than by the class alone")
    concepts: Estimate | None = Field(
        description="accuracy of concepts not looked at, more than as they are read; nothing where "
        "there is but one"
    )
    log_loss: Estimate | None = Field(description="of the same, how much lower than as read")
    log_loss_within: Estimate | None = Field(description="how much lower than by the class alone")


class ConceptShare(BaseModel, frozen=True):
    """How often images of a class show a concept, or those of them that show another one do."""

    class_key: str
    concept: str
    given: str = Field(default="", description="the other concept; empty: all images of the class")
    images: int = Field(description="test images of the class, that show the other one")
    groups: int
    observed: Estimate | None = Field(
        description="half an image more with either answer; nothing below 10 groups"
    )
    predicted: float | None = Field(
        description="mean of what the model of corrections expects of these images by their scores"
    )


class Interventions(BaseModel, frozen=True):
    """What correcting concepts that were read wrong would bring."""

    concepts: int = Field(description="labelled ones; no other can be corrected")
    not_computable: str = ""
    read_wrong: float = Field(
        default=0.0, description="share of known concepts of test images that scores get wrong"
    )
    curves: tuple[InterventionCurve, ...] = ()
    propagated: tuple[Propagation, ...] = Field(
        default=(), description="one a head; nothing where it was not measured yet"
    )
    shares: tuple[ConceptShare, ...] = Field(
        default=(), description="of each class and concept, then the pairs that depend most"
    )
