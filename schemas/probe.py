"""Trained heads: all are linear in their input, so that every decision can be taken apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from jaxtyping import Float, Float64
from pydantic import BaseModel, Field
from safetensors.numpy import load_file, save_file

from curette.schemas.artifact import Artifact, write_json
from curette.schemas.candidates import Candidate
from curette.schemas.heads import HeadKind, Inputs
from curette.schemas.images import TruthSource, is_column


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
    family: str = Field(description="the name under which several draws are averaged")
    draw: int = Field(default=0, description="number of the draw, where chance has a part")
    inputs: Inputs = Field(description="what the columns of the weights are")
    candidates: tuple[Candidate, ...] = Field(
        default=(), description="the concepts behind the columns; empty for image vectors"
    )
    nec: float = Field(description="weights that are not zero / classes, of all columns")
    chosen: dict[str, float] = Field(description="what validation chose, such as l2 or epoch")
    validation_loss: float = Field(description="log loss, classes weighing as in training")
    validation_balanced_accuracy: float
    curve: tuple[TrainingStep, ...] = ()


class SkippedHead(BaseModel, frozen=True):
    """A head that was asked for and cannot be computed."""

    name: str = Field(description="the family's; some of its draws may be there")
    kind: HeadKind
    reason: str


def head_inputs(
    inputs: Inputs,
    vectors: Float[np.ndarray, "image dim"],
    concept_vectors: Float[np.ndarray, "concept dim"],
) -> Float64[np.ndarray, "image feature"]:
    """Return what a head looks at; its weights have one column for each of these.

    Scores are cosines of image and concept; unit scores are those of an image over their length.

    Args:
        inputs: which features.
        vectors: of the images, unit rows.
        concept_vectors: of the head's concepts, unit rows, or the directions that stand in for
            them; none for `nothing` and `vectors`.
    """
    images = vectors.astype(np.float64)
    if inputs == "nothing":
        return np.zeros((len(images), 0))
    if inputs == "vectors":
        return images
    scores = images @ concept_vectors.astype(np.float64).T
    if inputs == "scores and vectors":
        return np.hstack([scores, images])
    if inputs == "unit scores":
        length = np.linalg.norm(scores, axis=1, keepdims=True)
        return np.asarray(scores / np.where(length > 0, length, 1))
    return scores


@dataclass(frozen=True)
class Head:
    """`logits = features @ weights.T + bias`; standardisation is folded into both."""

    facts: HeadFacts
    weights: Float64[np.ndarray, "class feature"]
    bias: Float64[np.ndarray, " class"]
    center: Float64[np.ndarray, " feature"]
    """Mean of each feature over the training images; contributions are told relative to it."""
    directions: Float64[np.ndarray, "concept dim"] | None = None
    """What its scores are products of image vectors with; None: the concepts' text vectors."""
    train_features: Float64[np.ndarray, "train feature"] | None = None
    """What it was trained on where its directions learned from the same images: their features by
    directions that did not. None: `head_inputs` of the training images."""

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


class GroundedConcept(BaseModel, frozen=True):
    """A classifier that finds a concept on image vectors, as validation images see it."""

    concept_id: str
    text: str
    present: int = Field(description="training images that show it")
    absent: int
    labels_from: TruthSource = Field(
        default="column", exclude_if=is_column, description="who says which images show it"
    )
    l2: float = Field(description="strength, chosen by folds of the training images")
    auroc: float | None = Field(description="of validation images; nothing where it is undefined")
    text_auroc: float | None = Field(description="the same of the text's score")
    random_95: float | None = Field(description="AUROC that 1 in 20 random directions exceeds")
    p_value: float | None = Field(description="share of random directions that are as good")


@dataclass(frozen=True)
class Probe(Artifact):
    """All heads that were trained on one concept dataset."""

    kind: ClassVar[str] = "probe"

    class_keys: tuple[str, ...]
    heads: tuple[Head, ...]
    skipped: tuple[SkippedHead, ...] = ()
    grounding: tuple[GroundedConcept, ...] = ()
    """Selected concepts that have a grounding function, in their order."""

    def head(self, kind: HeadKind) -> Head:
        """Return the first head of a kind.

        Raises:
            KeyError: there is none.
        """
        for head in self.heads:
            if head.facts.kind == kind:
                return head
        raise KeyError(kind)

    @property
    def families(self) -> dict[str, tuple[Head, ...]]:
        """The heads of each family, in the order in which the families first stand here."""
        names = dict.fromkeys(h.facts.family for h in self.heads)
        return {name: tuple(h for h in self.heads if h.facts.family == name) for name in names}

    def write(self, folder: Path) -> None:
        """Write `heads.safetensors` and `probe.json`."""
        tensors = {}
        for i, head in enumerate(self.heads):
            for name in ("weights", "bias", "center"):
                tensors[f"{i}.{name}"] = np.ascontiguousarray(getattr(head, name))
            for name in ("directions", "train_features"):
                if (tensor := getattr(head, name)) is not None:
                    tensors[f"{i}.{name}"] = np.ascontiguousarray(tensor)
        save_file(tensors, folder / "heads.safetensors")
        write_json(
            folder / "probe.json",
            {
                "class_keys": list(self.class_keys),
                "heads": [h.facts.model_dump(mode="json") for h in self.heads],
                "skipped": [s.model_dump(mode="json") for s in self.skipped],
                "grounding": [g.model_dump(mode="json") for g in self.grounding],
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the heads back."""
        about = _ProbeFile.model_validate_json((folder / "probe.json").read_bytes())
        tensors = load_file(folder / "heads.safetensors")
        heads = tuple(
            Head(
                facts,
                tensors[f"{i}.weights"],
                tensors[f"{i}.bias"],
                tensors[f"{i}.center"],
                tensors.get(f"{i}.directions"),
                tensors.get(f"{i}.train_features"),
            )
            for i, facts in enumerate(about.heads)
        )
        return cls(about.class_keys, heads, about.skipped, about.grounding)


class _ProbeFile(BaseModel, frozen=True):
    class_keys: tuple[str, ...]
    heads: tuple[HeadFacts, ...]
    skipped: tuple[SkippedHead, ...]
    grounding: tuple[GroundedConcept, ...] = ()
