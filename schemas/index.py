"""The FAISS indices over images and concepts, and what was looked up in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, Field

from schemas.artifact import Artifact, write_json


class IndexSpec(BaseModel, frozen=True, extra="forbid"):
    """What is looked up once the index stands."""

    top_images: int = Field(default=8, gt=0, le=100, description="training images a concept")
    near_duplicate_cosine: float = Field(
        default=0.995, gt=0, le=1, description="image pairs at least this alike are near-duplicates"
    )
    max_duplicate_pairs: int = Field(
        default=1000, gt=0, description="most alike pairs kept, so that the list stays readable"
    )


class Hit(BaseModel, frozen=True):
    """One image found for a concept."""

    image_id: str
    score: float = Field(description="cosine")


class NearDuplicate(BaseModel, frozen=True):
    """Two images that look almost the same and stand in different splits."""

    image_a: str
    split_a: str
    image_b: str
    split_b: str
    cosine: float
    same_group: bool = Field(description="true where both are of one subject or lesion")


@dataclass(frozen=True)
class ConceptIndex(Artifact):
    """Exact inner-product indices; ids are positions in `image_ids` and `concept_ids`."""

    kind: ClassVar[str] = "concept-index"

    image_ids: tuple[str, ...]
    concept_ids: tuple[str, ...]
    images: UInt8[np.ndarray, " byte"]
    """The image index as FAISS serialises it; load with `tasks.index.faiss_index`."""
    concepts: UInt8[np.ndarray, " byte"]
    top_images: dict[str, tuple[Hit, ...]]
    """Concept id -> its best training images, best first."""
    near_duplicates: tuple[NearDuplicate, ...]
    """Pairs across splits, most alike first."""
    duplicate_pairs_found: int
    """How many there were before the list was cut to `max_duplicate_pairs`. Above 1,000,000 the
    search ended early: there are more, perhaps more alike ones, and the encoder tells nothing."""

    def write(self, folder: Path) -> None:
        """Write `images.faiss`, `concepts.faiss` and `index.json`."""
        (folder / "images.faiss").write_bytes(self.images.tobytes())
        (folder / "concepts.faiss").write_bytes(self.concepts.tobytes())
        write_json(
            folder / "index.json",
            {
                "image_ids": list(self.image_ids),
                "concept_ids": list(self.concept_ids),
                "top_images": {
                    k: [h.model_dump() for h in hits] for k, hits in self.top_images.items()
                },
                "near_duplicates": [d.model_dump() for d in self.near_duplicates],
                "duplicate_pairs_found": self.duplicate_pairs_found,
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the indices' bytes back; the store has checked them."""
        about = _IndexFile.model_validate_json((folder / "index.json").read_bytes())
        return cls(
            image_ids=about.image_ids,
            concept_ids=about.concept_ids,
            images=np.fromfile(folder / "images.faiss", dtype=np.uint8),
            concepts=np.fromfile(folder / "concepts.faiss", dtype=np.uint8),
            top_images=about.top_images,
            near_duplicates=about.near_duplicates,
            duplicate_pairs_found=about.duplicate_pairs_found,
        )


class _IndexFile(BaseModel, frozen=True):
    image_ids: tuple[str, ...]
    concept_ids: tuple[str, ...]
    top_images: dict[str, tuple[Hit, ...]]
    near_duplicates: tuple[NearDuplicate, ...]
    duplicate_pairs_found: int
