"""Few shots: what is drawn, the heads of every draw, and what they are worth on test images."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from jaxtyping import Bool, Float32
from pydantic import BaseModel, Field
from safetensors.numpy import load_file, save_file

from curette.schemas.artifact import Artifact, JsonArtifact, write_json
from curette.schemas.heads import FewShotBaseline, HeadKind

_MOST_LOGITS = 2**24  # held at a time, or those of one draw


class FewShotDraw(BaseModel, frozen=True):
    """Some training images of each class, and the concepts that they alone select."""

    shots: int | None = Field(description="images a class, or as many as it has; nothing: all")
    seed: int
    image_ids: tuple[str, ...] = Field(min_length=1, description="class by class")
    concept_ids: tuple[str, ...] = Field(min_length=1, description="selected from these images")


class FewShotDraws(JsonArtifact, frozen=True):
    """All draws, those of as many shots together; of one seed, fewer shots are among more."""

    kind: ClassVar[str] = "few-shot-draws"

    draws: tuple[FewShotDraw, ...] = Field(min_length=1)


@dataclass(frozen=True)
class FewShotHeads(Artifact):
    """One linear head on image vectors for every draw and kind: `vectors @ weights.T + bias`.

    A head on concept scores is one on image vectors, the concepts' own folded in.
    """

    kind: ClassVar[str] = "few-shot-heads"

    class_keys: tuple[str, ...]
    heads: tuple[HeadKind, ...]
    shots: tuple[int | None, ...]
    """Of each draw."""
    seeds: tuple[int, ...]
    """Of each draw."""
    weights: Float32[np.ndarray, "draw head class dim"]
    bias: Float32[np.ndarray, "draw head class"]
    skipped: tuple[str, ...] = ()
    """Why a head that was asked for is not among them."""

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other."""
        shape = (len(self.shots), len(self.heads), len(self.class_keys))
        if len(self.seeds) != shape[0] or self.bias.shape != shape:
            raise ValueError(f"a bias of shape {self.bias.shape} for draws, heads, classes {shape}")
        if self.weights.shape[:3] != shape:
            raise ValueError(f"weights of shape {self.weights.shape} for a bias of shape {shape}")

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

    def write(self, folder: Path) -> None:
        """Write `heads.safetensors` and `few-shot-heads.json`."""
        tensors = {"weights": self.weights, "bias": self.bias}
        save_file(
            {name: np.ascontiguousarray(array) for name, array in tensors.items()},
            folder / "heads.safetensors",
        )
        about = _HeadsFile(
            class_keys=self.class_keys,
            heads=self.heads,
            shots=self.shots,
            seeds=self.seeds,
            skipped=self.skipped,
        )
        write_json(folder / "few-shot-heads.json", about.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the heads back."""
        about = _HeadsFile.model_validate_json((folder / "few-shot-heads.json").read_bytes())
        tensors = load_file(folder / "heads.safetensors")
        return cls(
            class_keys=about.class_keys,
            heads=about.heads,
            shots=about.shots,
            seeds=about.seeds,
            weights=tensors["weights"],
            bias=tensors["bias"],
            skipped=about.skipped,
        )


class _HeadsFile(BaseModel, frozen=True):
    class_keys: tuple[str, ...]
    heads: tuple[HeadKind, ...]
    shots: tuple[int | None, ...]
    seeds: tuple[int, ...]
    skipped: tuple[str, ...]


class FewShotPoint(BaseModel, frozen=True):
    """Balanced accuracy of one head at one number of shots, the mean over seeds."""

    shots: int | None = Field(description="nothing: all training images")
    head: HeadKind
    value: float
    low: float
    high: float
    seeds: int


class FewShotLead(BaseModel, frozen=True):
    """How far a head is ahead of another on the same draws and resamples."""

    shots: int | None
    head: HeadKind
    baseline: FewShotBaseline = Field(
        description="best_probe: whichever tuned probe is best on the resample itself"
    )
    value: float
    low: float
    high: float
    seeds: int


class FewShotCurves(BaseModel, frozen=True):
    """Points and leads, by shots; tasks/evaluate/questions/few_shots.py."""

    points: tuple[FewShotPoint, ...]
    leads: tuple[FewShotLead, ...]
    confidence: float
    resamples: int = Field(description="of test groups and of seeds at once")
    images: int = Field(description="of the test split")
    groups: int = Field(description="independent units among them")
    skipped: tuple[str, ...] = ()
