"""Trained heads: all are linear in their input, so that every decision can be taken apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, Field, model_validator
from safetensors.numpy import load_file, save_file

from schemas.artifact import Artifact, write_json
from schemas.candidates import Candidate

HeadKind = Literal["linear_probe", "concept_bottleneck", "random_concepts", "majority"]


class ProbeSpec(BaseModel, frozen=True, extra="forbid"):
    """How the heads are trained; everything is chosen on validation images."""

    l2_values: tuple[float, ...] = Field(
        default=(1e2, 2e1, 5e0, 1e0, 2e-1, 5e-2, 1e-2, 2e-3, 5e-4, 1e-4, 2e-5, 5e-6, 1e-6),
        min_length=1,
        description="strengths tried for the linear probe, on features of unit variance; "
        "tasks/probe/linear.py has the objective",
    )
    class_weight: Literal["none", "balanced"] = Field(
        default="balanced", description="balanced: every class counts the same in the loss"
    )
    epochs: int = Field(default=1000, gt=0, description="most epochs of the bottleneck")
    learning_rate: float = Field(default=0.01, gt=0, le=10)
    patience: int = Field(default=100, gt=0, description="epochs without a better validation loss")
    random_draws: int = Field(
        default=5, ge=1, le=100, description="random-concept bottlenecks, as the baseline"
    )
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(self.l2_values) <= 0:
            raise ValueError("every value of l2_values must be above 0")
        return self


class TrainingStep(BaseModel, frozen=True):
    """One point of a training curve or of a regularisation path."""

    x: float = Field(description="epoch, or regularisation strength")
    train_loss: float
    validation_loss: float
    validation_balanced_accuracy: float


class HeadFacts(BaseModel, frozen=True):
    """What is said about a head besides its weights."""

    name: str = Field(description="unique, such as `random concepts 2`")
    kind: HeadKind
    draw: int = Field(default=0, description="number of the draw, for random concepts")
    candidates: tuple[Candidate, ...] = Field(
        default=(), description="the concepts behind the columns; empty for image vectors"
    )
    chosen: dict[str, float] = Field(description="what validation chose, such as l2 or epoch")
    curve: tuple[TrainingStep, ...] = ()


@dataclass(frozen=True)
class Head:
    """`logits = features @ weights.T + bias`; standardisation is folded into both."""

    facts: HeadFacts
    weights: Float64[np.ndarray, "class feature"]
    bias: Float64[np.ndarray, " class"]
    center: Float64[np.ndarray, " feature"]
    """Mean of each feature over the training images; contributions are told relative to it."""

    def logits(
        self, features: Float64[np.ndarray, "image feature"]
    ) -> Float64[np.ndarray, "image class"]:
        """Return one logit an image and class."""
        return features @ self.weights.T + self.bias

    def contributions(
        self, features: Float64[np.ndarray, " feature"]
    ) -> Float64[np.ndarray, "class feature"]:
        """Return what each feature adds to each logit, relative to the average training image.

        `contributions.sum(1) + baseline` are the logits, where
        `baseline = weights @ center + bias`.
        """
        return self.weights * (features - self.center)

    @property
    def baseline(self) -> Float64[np.ndarray, " class"]:
        """The logits of the average training image."""
        return self.weights @ self.center + self.bias


@dataclass(frozen=True)
class Probe(Artifact):
    """All heads that were trained on one concept dataset."""

    kind: ClassVar[str] = "probe"

    class_keys: tuple[str, ...]
    heads: tuple[Head, ...]

    def head(self, kind: HeadKind) -> Head:
        """Return the first head of a kind.

        Raises:
            KeyError: there is none.
        """
        for head in self.heads:
            if head.facts.kind == kind:
                return head
        raise KeyError(kind)

    def write(self, folder: Path) -> None:
        """Write `heads.safetensors` and `probe.json`."""
        tensors = {}
        for i, head in enumerate(self.heads):
            for name in ("weights", "bias", "center"):
                tensors[f"{i}.{name}"] = np.ascontiguousarray(getattr(head, name))
        save_file(tensors, folder / "heads.safetensors")
        write_json(
            folder / "probe.json",
            {
                "class_keys": list(self.class_keys),
                "heads": [h.facts.model_dump(mode="json") for h in self.heads],
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the heads back."""
        about = _ProbeFile.model_validate_json((folder / "probe.json").read_bytes())
        tensors = load_file(folder / "heads.safetensors")
        heads = tuple(
            Head(facts, tensors[f"{i}.weights"], tensors[f"{i}.bias"], tensors[f"{i}.center"])
            for i, facts in enumerate(about.heads)
        )
        return cls(class_keys=about.class_keys, heads=heads)


class _ProbeFile(BaseModel, frozen=True):
    class_keys: tuple[str, ...]
    heads: tuple[HeadFacts, ...]
