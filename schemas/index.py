"""The FAISS indices over images and concepts, and what was looked up in them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float32, UInt8
from pydantic import BaseModel, Field

from curette.schemas.artifact import Artifact, write_json

IndexKind = Literal["flat", "ivf"]
"""Exact, or an inverted file: the vectors in lists by their nearest centroid."""


class VectorIndexFacts(BaseModel, frozen=True):
    """Which vectors an index is of, how it finds them, and how well."""

    count: int
    dim: int
    vectors_sha256: str = Field(description="of the vectors' bytes, in the order of their ids")
    kind: IndexKind
    lists: int = Field(default=0, description="of an inverted file")
    probes: int = Field(default=0, description="lists that a query looks at")
    recall_at_10: float = Field(
        default=1, description="share of the 10 nearest that are found; 1 where search is exact"
    )
    sampled: int = Field(default=0, description="vectors that this was measured on")
    fallback: str = Field(default="", description="why search is exact in spite of the size")

    def is_of(self, vectors: Float32[np.ndarray, "row dim"]) -> bool:
        """Return whether these are the vectors, in their order."""
        return (self.count, self.dim) == vectors.shape and self.vectors_sha256 == vectors_sha256(
            vectors
        )

    @property
    def summary(self) -> str:
        """How it finds them, in a sentence."""
        if self.kind == "flat":
            exact = f"The search among {self.count:,} images is exact"
            return f"{exact}: {self.fallback}." if self.fallback else f"{exact}."
        return (
            f"The search among {self.count:,} images looks at {self.probes} of {self.lists:,} "
            f"lists and finds {self.recall_at_10:.1%} of the 10 nearest, measured on "
            f"{self.sampled} images."
        )


def vectors_sha256(vectors: Float32[np.ndarray, "row dim"]) -> str:
    """Return the digest of the vectors' bytes, row by row."""
    return hashlib.sha256(np.ascontiguousarray(vectors, dtype="<f4").data).hexdigest()


class Hit(BaseModel, frozen=True):
    """One image found for a concept."""

    image_id: str
    score: float = Field(description="cosine")


class LookAlike(BaseModel, frozen=True):
    """An image that looks almost like one of a split before its own."""

    image_id: str
    split: str
    cosine: float
    same_group: bool = Field(description="true where both are of one subject or lesion")


class DuplicateCluster(BaseModel, frozen=True):
    """An image, and those of later splits that each look almost like it: a star, no chain."""

    image_id: str
    split: str
    look_alikes: tuple[LookAlike, ...] = Field(description="most alike first")


class Duplicates(BaseModel, frozen=True):
    """Images that look almost the same and stand in different splits."""

    clusters: tuple[DuplicateCluster, ...] = Field(default=(), description="most alike first")
    clusters_found: int = Field(default=0, description="before the list was cut")
    images_found: int = Field(
        default=0, description="images that look almost like one of an earlier split"
    )
    pairs_found: int = Field(
        default=0,
        description="above 1,000,000 the search ended early: there are more, perhaps more alike "
        "ones, and the encoder tells nothing",
    )


@dataclass(frozen=True)
class ConceptIndex(Artifact):
    """Inner-product indices; ids are positions in `image_ids` and `concept_ids`."""

    kind: ClassVar[str] = "concept-index"

    image_ids: tuple[str, ...]
    concept_ids: tuple[str, ...]
    images: UInt8[np.ndarray, " byte"]
    """The image index as FAISS serialises it; open it with `tasks.index.image_index`."""
    facts: VectorIndexFacts
    """Of the image index."""
    concepts: UInt8[np.ndarray, " byte"]
    """The concept index, always exact."""
    top_images: dict[str, tuple[Hit, ...]]
    """Concept id -> its best training images, best first."""
    duplicates: Duplicates

    def write(self, folder: Path) -> None:
        """Write `images.faiss`, `concepts.faiss` and `index.json`."""
        self.images.tofile(folder / "images.faiss")
        self.concepts.tofile(folder / "concepts.faiss")
        write_json(
            folder / "index.json",
            {
                "image_ids": list(self.image_ids),
                "concept_ids": list(self.concept_ids),
                "facts": self.facts.model_dump(),
                "top_images": {
                    k: [h.model_dump() for h in hits] for k, hits in self.top_images.items()
                },
                "duplicates": self.duplicates.model_dump(mode="json"),
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the indices back, memory-mapped; the store has checked their bytes."""
        about = _IndexFile.model_validate_json((folder / "index.json").read_bytes())
        return cls(
            image_ids=about.image_ids,
            concept_ids=about.concept_ids,
            images=np.memmap(folder / "images.faiss", dtype=np.uint8, mode="r"),
            facts=about.facts,
            concepts=np.memmap(folder / "concepts.faiss", dtype=np.uint8, mode="r"),
            top_images=about.top_images,
            duplicates=about.duplicates,
        )


class _IndexFile(BaseModel, frozen=True):
    image_ids: tuple[str, ...]
    concept_ids: tuple[str, ...]
    facts: VectorIndexFacts
    top_images: dict[str, tuple[Hit, ...]]
    duplicates: Duplicates
