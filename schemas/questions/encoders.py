"""Where the encoders of a study disagree, and whether that tells of mistakes."""

from typing import Literal

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate

DoubtSign = Literal[
    "confidence",
    "encoders",
    "resamples",
    "encoders together",
    "resamples together",
]
"""What may tell of a head's mistakes: its own highest probability; how far the probabilities of
further encoders' heads, or of its own encoder's heads of resampled images, lie from its own; and
the mean probability that it and these give to its class."""


class TellingSign(BaseModel, frozen=True):
    """How well one sign of doubt finds a head's mistakes on test images."""

    sign: DoubtSign
    auroc: Estimate = Field(description="a wrong decision is more doubtful than a right one")
    aurc: Estimate = Field(description="images answered from the least doubtful on")
    difference: Estimate | None = Field(
        description="AURC minus that by confidence, on the same resamples: below 0 is better"
    )


class EncoderAnswer(BaseModel, frozen=True):
    """What the head of one encoder reaches, or the mean of several heads' probabilities."""

    name: str = Field(description="the encoder's; or whose mean it is")
    balanced_accuracy: Estimate
    log_loss: Estimate
    difference: Estimate | None = Field(
        description="of balanced accuracy from the study's own encoder; nothing of itself"
    )
    log_loss_difference: Estimate | None


class EncoderDoubt(BaseModel, frozen=True):
    """One kind of head, of the study's own encoder and of the further ones that have it."""

    head: str
    head_kind: HeadKind
    encoders: tuple[str, ...] = Field(description="the further ones")
    resamples: int = Field(description="resampled heads that any number of them are drawn from")
    images: int
    mistakes: int
    differing: int = Field(description="images of which a further encoder's head says otherwise")
    mistakes_differing: int = Field(description="wrong decisions among these")
    wrong_differing: Estimate | None = Field(description="their share")
    wrong_elsewhere: Estimate | None
    signs: tuple[TellingSign, ...]
    beyond_resamples: Estimate = Field(
        description="AURC by further encoders minus by resampled heads: below 0, another encoder "
        "tells what another head does not"
    )
    in_any_order: Estimate = Field(description="the share of wrong answers: the order of chance")
    answers: tuple[EncoderAnswer, ...]


class EncoderFacts(BaseModel, frozen=True):
    """A further encoder."""

    name: str = Field(description="as the study calls it")
    encoder: str = Field(description="as it calls itself")
    digest: str
    dim: int
    concepts: int = Field(description="selected concepts of which it has a vector")


class DoubtedImage(BaseModel, frozen=True):
    """One test image on which heads of several encoders differ."""

    image_id: str
    label: str
    doubt: float = Field(description="Jensen-Shannon divergence of the probabilities, in nats")
    says: tuple[str, ...] = Field(description="class key that each says, the study's own first")
    probabilities: tuple[float, ...] = Field(description="that each gives to its class")


class SharedConcept(BaseModel, frozen=True):
    """How alike two encoders rank validation images by the same statement."""

    encoder: str = Field(description="the further one")
    concept_id: str
    text: str
    alike: Estimate = Field(description="Spearman's rank correlation of their scores")
    others: Estimate | None = Field(
        description="the mean of those with its scores of the other selected concepts; nothing "
        "where there is no other"
    )
    difference: Estimate | None = Field(description="of the two, on the same resamples")

    @property
    def is_doubtful(self) -> bool:
        """Whether they are not found to see the same under it, or no more than under others."""
        return self.alike.low <= 0 or (self.difference is not None and self.difference.low <= 0)


class EncoderTable(BaseModel, frozen=True):
    """Where the encoders of a study disagree, and whether that tells of mistakes."""

    encoders: tuple[EncoderFacts, ...]
    heads: tuple[EncoderDoubt, ...] = ()
    not_computable: dict[str, str] = Field(default_factory=dict, description="head -> why not")
    concepts: tuple[SharedConcept, ...] = Field(
        default=(), description="the selected ones that each encoder scores, in their order"
    )
    examples: tuple[DoubtedImage, ...] = Field(
        default=(), description="linear probes differ there most, the furthest apart first"
    )
