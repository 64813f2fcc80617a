"""Trained heads: all are linear in their input, so that every decision can be taken apart."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from pydantic import BaseModel, Field, model_validator
from safetensors.numpy import load_file, save_file

from curette.schemas.artifact import Artifact, write_json
from curette.schemas.candidates import Candidate
from curette.schemas.draws import Drawn
from curette.schemas.heads import CARDS, HeadKind, Inputs, Protocol
from curette.schemas.images import TruthSource, is_column
from curette.schemas.shifts import ShiftPlan, UnusableDraw


class TrainingStep(BaseModel, frozen=True):
    """One point of a training curve or of a regularisation path."""

    x: float = Field(description="epoch, or regularisation strength")
    train_loss: float
    validation_loss: float
    validation_balanced_accuracy: float


TrainedOn = Annotated[
    int, Field(exclude_if=lambda draw: draw == 0, description="which of the protocol's draws")
]


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
    edits: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda edits: not edits,
        description="what a person changed in it after training",
    )
    trained_on: TrainedOn = 0


class SkippedHead(BaseModel, frozen=True):
    """A head that was asked for and cannot be computed."""

    name: str = Field(description="the family's; some of its draws may be there")
    kind: HeadKind
    reason: str
    trained_on: TrainedOn = 0

    def on(self, draw: int) -> Self:
        """Return it as skipped on another draw."""
        return self.model_copy(update={"trained_on": draw})


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

    def on(self, draw: int) -> Self:
        """Return it as trained on another draw."""
        return replace(self, facts=self.facts.model_copy(update={"trained_on": draw}))


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


class LeftOut(BaseModel, frozen=True):
    """Training images of another study that may not teach this one, and why."""

    reason: str
    images: int


class BorrowedConcept(BaseModel, frozen=True):
    """A direction that another study's training images taught, as both studies see it."""

    concept_id: str
    text: str
    attribute: str = Field(description="the other study's column that decides it")
    denied: bool = Field(description="whether it is there where the column says no")
    labels_from: TruthSource = Field(
        default="column", exclude_if=is_column, description="who says which images show it"
    )
    present: int = Field(description="training images there that show it")
    absent: int
    l2: float = Field(description="strength, chosen by folds of the training images there")
    auroc_there: float | None = Field(description="of validation images there, which taught none")
    random_95: float | None = Field(
        description="AUROC there that 1 in 20 random directions exceeds"
    )
    p_value: float | None = Field(description="share of random directions that are as good there")
    auroc: float | None = Field(description="of validation images here; nothing where unknown")
    text_auroc: float | None = Field(description="the same of the text's score")


class Borrowed(BaseModel, frozen=True):
    """What another study taught."""

    study: str
    images: int = Field(description="training images there that may teach")
    groups: int
    left_out: tuple[LeftOut, ...] = ()
    concepts: tuple[BorrowedConcept, ...] = ()
    unused: tuple[str, ...] = Field(
        default=(), description="columns there that decide no selected concept here"
    )


_MOST_LOGITS = 2**24  # held at a time, or those of one draw


@dataclass(frozen=True)
class HeadStack:
    """One linear head on image vectors for every draw and kind: `vectors @ weights.T + bias`.

    A head on concept scores is one on image vectors, the concepts' own folded in.
    """

    kinds: tuple[HeadKind, ...]
    weights: Float32[np.ndarray, "draw head class dim"]
    bias: Float32[np.ndarray, "draw head class"]

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other."""
        if self.bias.shape[1] != len(self.kinds) or self.weights.shape[:3] != self.bias.shape:
            raise ValueError(
                f"weights of shape {self.weights.shape} and a bias of shape {self.bias.shape} for "
                f"{len(self.kinds)} kinds"
            )

    def answer(
        self, vectors: Float32[np.ndarray, "image dim"], labels: np.ndarray
    ) -> Bool[np.ndarray, "draw head image"]:
        """Return where each head's strongest class is the image's, some draws at a time."""
        right = np.empty((*self.bias.shape[:2], len(vectors)), dtype=bool)
        of_draw = max(1, len(vectors) * self.bias[0].size)
        draws = max(1, _MOST_LOGITS // of_draw)
        for start in range(0, len(right), draws):
            some = slice(start, start + draws)
            weights, bias = self.weights[some], self.bias[some]
            logits = (vectors @ weights.reshape(-1, weights.shape[3]).T).reshape(-1, *bias.shape)
            logits += bias
            right[some] = np.moveaxis(logits.argmax(axis=3) == labels[:, None, None], 0, 2)
        return right


NO_STACK = HeadStack((), np.zeros((0, 0, 0, 0), np.float32), np.zeros((0, 0, 0), np.float32))


@dataclass(frozen=True)
class Heads(Artifact):
    """All heads that one protocol trained on one concept dataset.

    Where draws are many, their heads are a stack, without what is said of each.
    """

    kind: ClassVar[str] = "heads"
    formerly: ClassVar[tuple[str, ...]] = ("probe", "few-shot-heads", "shift-heads")

    class_keys: tuple[str, ...]
    heads: tuple[Head, ...] = ()
    skipped: tuple[SkippedHead, ...] = ()
    grounding: tuple[GroundedConcept, ...] = ()
    """Selected concepts that have a grounding function, in their order."""
    borrowed: Borrowed | None = None
    """What another study's images taught; None where none is named, or nothing could be."""
    protocol: Protocol = "all images"
    draws: tuple[Drawn, ...] = ()
    """Of the stack's first axis, or of `trained_on`; none: all images are the only one."""
    stack: HeadStack = NO_STACK
    unusable: tuple[UnusableDraw, ...] = ()
    """Draws that the images could not give."""

    def __post_init__(self) -> None:
        """Refuse draws that are not the stack's."""
        if self.stack.kinds and len(self.draws) != len(self.stack.bias):
            raise ValueError(f"{len(self.draws)} draws for a stack of {len(self.stack.bias)}")

    def of(self, draw: int) -> Self:
        """Return those that one of the draws trained, one by one."""
        return replace(
            self,
            draws=(self.draws[draw],),
            heads=tuple(h for h in self.heads if h.facts.trained_on == draw),
            skipped=tuple(s for s in self.skipped if s.trained_on == draw),
        )

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
        """Write `heads.safetensors` and `heads.json`."""
        tensors = {"weights": self.stack.weights, "bias": self.stack.bias}
        tensors = {name: array for name, array in tensors.items() if self.stack.kinds}
        for i, head in enumerate(self.heads):
            for name in ("weights", "bias", "center", "directions", "train_features"):
                if (tensor := getattr(head, name)) is not None:
                    tensors[f"{i}.{name}"] = tensor
        save_file(
            {name: np.ascontiguousarray(array) for name, array in tensors.items()},
            folder / "heads.safetensors",
        )
        about = _HeadsFile(
            class_keys=self.class_keys,
            heads=tuple(h.facts for h in self.heads),
            skipped=self.skipped,
            grounding=self.grounding,
            borrowed=self.borrowed,
            protocol=self.protocol,
            draws=self.draws,
            stacked=self.stack.kinds,
            unusable=self.unusable,
        )
        write_json(folder / "heads.json", about.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the heads back, of the former kinds too."""
        if (folder / "shifts.json").is_file():
            return cls._read_shift_heads(folder)
        names = ("heads.json", "probe.json", "few-shot-heads.json")
        file = next(folder / name for name in names if (folder / name).is_file())
        about = _HeadsFile.model_validate_json(file.read_bytes())
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
        stack = NO_STACK
        if about.stacked:
            stack = HeadStack(about.stacked, tensors["weights"], tensors["bias"])
        return cls(
            class_keys=about.class_keys,
            heads=heads,
            skipped=about.skipped,
            grounding=about.grounding,
            borrowed=about.borrowed,
            protocol=about.protocol,
            draws=about.draws,
            stack=stack,
            unusable=about.unusable,
        )

    @classmethod
    def _read_shift_heads(cls, folder: Path) -> Self:
        """Read what has a folder for each shift."""
        about = _ShiftHeadsFile.model_validate_json((folder / "shifts.json").read_bytes())
        of_shifts = [cls.read(folder / str(number)) for number in range(len(about.plans))]
        return cls(
            class_keys=of_shifts[0].class_keys if of_shifts else (),
            heads=tuple(h.on(draw) for draw, s in enumerate(of_shifts) for h in s.heads),
            skipped=tuple(h.on(draw) for draw, s in enumerate(of_shifts) for h in s.skipped),
            protocol="shifts",
            draws=tuple(Drawn(title=plan.spec.title, plan=plan) for plan in about.plans),
            unusable=about.unusable,
        )


class _HeadsFile(BaseModel, frozen=True):
    class_keys: tuple[str, ...]
    heads: tuple[HeadFacts, ...]
    skipped: tuple[SkippedHead, ...]
    grounding: tuple[GroundedConcept, ...] = ()
    borrowed: Borrowed | None = Field(default=None, exclude_if=lambda borrowed: borrowed is None)
    protocol: Protocol = "all images"
    draws: tuple[Drawn, ...] = ()
    stacked: tuple[HeadKind, ...] = ()
    unusable: tuple[UnusableDraw, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_few_shots(cls, content: Any) -> Any:
        """Read what few-shot heads were written as."""
        if not isinstance(content, dict) or "shots" not in content:
            return content
        kinds = {card.title: card.kind for card in CARDS.values()}
        told = [text.partition(": ")[::2] for text in content["skipped"]]
        return {
            "class_keys": content["class_keys"],
            "heads": (),
            "skipped": [{"name": n, "kind": kinds[n], "reason": why} for n, why in told],
            "protocol": "few shots",
            "draws": [
                {"shots": shots, "seed": seed}
                for shots, seed in zip(content["shots"], content["seeds"], strict=True)
            ],
            "stacked": content["heads"],
        }


class _ShiftHeadsFile(BaseModel, frozen=True):
    plans: tuple[ShiftPlan, ...]
    unusable: tuple[UnusableDraw, ...]
