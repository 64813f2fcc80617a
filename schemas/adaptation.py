"""A trained head as it was adapted to another site, beside the head as it was trained."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, Field
from safetensors.numpy import load_file, save_file

from curette.schemas.artifact import Artifact, JsonArtifact, Ref, write_json
from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Head, Heads

MOST_IMAGES_A_CLASS = 8


class SupportImage(BaseModel, frozen=True):
    """A labelled image of the site that the head was adapted by."""

    image_id: str
    group: str = Field(description="the subject or lesion; images of one group are not independent")
    class_key: str


class RungTried(BaseModel, frozen=True):
    """What support images that were left out say of a correction."""

    rung: str
    loss: float = Field(description="log loss, every class counting the same")
    gain: float | None = Field(description="below the loss of what stood; None of `nothing`")
    standard_error: float | None = Field(description="of the gain, over resamples of the support")
    lost_at_home: float = Field(
        description="balanced accuracy that the changed weights cost the study's own validation "
        "images, the offset apart"
    )
    taken: bool


class AdaptationFacts(BaseModel, frozen=True):
    """What was chosen, by what, and who wanted it."""

    study: str
    site: str = Field(description="name of the external dataset")
    head: HeadKind
    rung: str = Field(description="the correction; `nothing`: the head is the one that was trained")
    p_value: float = Field(
        description="share of supports drawn from validation images whose offset gains as much"
    )
    offset: dict[str, float] = Field(description="class key -> what its logit is lessened by")
    tried: tuple[RungTried, ...]
    support: tuple[SupportImage, ...]
    notes: tuple[str, ...] = ()
    editor: str = Field(default="", max_length=200, description="who")
    reason: str = Field(default="", max_length=2000, description="why")
    adapted_on: str = Field(default="", description="date, UTC")


@dataclass(frozen=True)
class Adaptation(Artifact):
    """A base probe and the weights that stand in for those of one of its heads at one site."""

    kind: ClassVar[str] = "adaptation"

    facts: AdaptationFacts
    probe: Ref[Heads]
    """Untouched: taking the adaptation back is using this."""
    weights: Float64[np.ndarray, "class feature"]
    bias: Float64[np.ndarray, " class"]

    def parts(self) -> tuple[Ref[Artifact], ...]:
        """Return the probe, without which nobody knows what the weights weigh."""
        return (self.probe,)

    def applied_to(self, head: Head) -> Head:
        """Return the head as it is at the site."""
        told = f"adapted to {self.facts.site}: {self.facts.rung}"
        facts = head.facts.model_copy(update={"edits": (*head.facts.edits, told)})
        return replace(head, facts=facts, weights=self.weights, bias=self.bias)

    def write(self, folder: Path) -> None:
        """Write `adaptation.safetensors` and `adaptation.json`."""
        tensors = {"weights": self.weights, "bias": self.bias}
        save_file(
            {name: np.ascontiguousarray(array) for name, array in tensors.items()},
            folder / "adaptation.safetensors",
        )
        about: dict[str, Any] = {
            "facts": self.facts.model_dump(mode="json"),
            "probe": str(self.probe),
        }
        write_json(folder / "adaptation.json", about)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it back."""
        about = _AdaptationFile.model_validate_json((folder / "adaptation.json").read_bytes())
        tensors = load_file(folder / "adaptation.safetensors")
        return cls(about.facts, Ref.parse(about.probe), tensors["weights"], tensors["bias"])


class _AdaptationFile(BaseModel, frozen=True):
    facts: AdaptationFacts
    probe: str


class AdaptationResult(JsonArtifact, frozen=True):
    """Balanced accuracy at the site before and after, on images of no support image's group."""

    kind: ClassVar[str] = "adaptation-result"

    adaptation: str = Field(description="`kind/digest`")
    images: int
    groups: int
    left_out: int = Field(description="images of the groups that support images are of")
    classes: tuple[str, ...] = Field(description="measured; the site may lack some")
    before: Estimate
    after: Estimate
    gain: Estimate
    confidence: float
    readings: str = Field(description="of these test labels before; empty for the first")
