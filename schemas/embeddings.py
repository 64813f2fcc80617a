"""Unit vectors of images and texts, and the encoder that made them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, Field

from curette.schemas.artifact import Artifact, JsonArtifact, Ref, write_json


class EncoderIdentity(BaseModel, frozen=True):
    """What decides a vector besides its input; the key of the vector store."""

    name: str = Field(description="for people")
    digest: str = Field(
        description="sha256 over weights, configuration, preprocessing and precision; what the "
        "template changes is part of a text's own key"
    )
    dim: int
    demo: bool = Field(description="true for the embedded encoder, which knows only the demo")
    reads_text: bool = Field(
        default=True,
        exclude_if=lambda reads: reads,
        description="else a concept's vector is learned from a column of the training images",
    )


@dataclass(frozen=True)
class Embeddings(Artifact):
    """Unit vectors in the order of their keys.

    Raises:
        ValueError: counts differ, a vector is not of unit length, or a number is not finite.
    """

    keys: tuple[str, ...]
    """Image ids, or concept texts."""
    vectors: Float32[np.ndarray, "key dim"]
    encoder: EncoderIdentity

    def __post_init__(self) -> None:
        """Refuse vectors that would make a cosine wrong."""
        if self.vectors.shape != (len(self.keys), self.encoder.dim):
            raise ValueError(
                f"{len(self.keys)} keys and dimension {self.encoder.dim}, "
                f"but vectors of shape {self.vectors.shape}"
            )
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("a key stands twice")
        squares = np.einsum("kd,kd->k", self.vectors, self.vectors)  # `norm` would copy them all
        if not np.allclose(squares, 1, atol=2e-3):
            raise ValueError("a vector is not finite or not of unit length")

    def take(self, keys: tuple[str, ...] | list[str]) -> Float32[np.ndarray, "key dim"]:
        """Return the vectors of these keys, in their order.

        Raises:
            KeyError: a key has no vector.
        """
        place = {key: i for i, key in enumerate(self.keys)}
        return self.vectors[[place[key] for key in keys]]

    def write(self, folder: Path) -> None:
        """Write `vectors.npy` and `embeddings.json`."""
        np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)
        write_json(
            folder / "embeddings.json",
            {"keys": list(self.keys), "encoder": self.encoder.model_dump()},
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the vectors back, memory-mapped."""
        about = _EmbeddingsFile.model_validate_json((folder / "embeddings.json").read_bytes())
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        return cls(keys=about.keys, vectors=vectors, encoder=about.encoder)


@dataclass(frozen=True)
class ImageEmbeddings(Embeddings):
    """One unit vector an image, by image id, in the order of the image dataset's rows."""

    kind: ClassVar[str] = "image-embeddings"


@dataclass(frozen=True)
class TextEmbeddings(Embeddings):
    """One unit vector a concept text (put into the encoder's template), by the bare text.

    Beside concepts there are the class prompts, where the encoder has vectors of them.
    """

    kind: ClassVar[str] = "text-embeddings"


class _EmbeddingsFile(BaseModel, frozen=True):
    keys: tuple[str, ...]
    encoder: EncoderIdentity


class StudyEmbeddings(JsonArtifact, frozen=True):
    """What the embed stage made: the images' and the candidate texts' vectors, one encoder's."""

    kind: ClassVar[str] = "embeddings"

    encoder: EncoderIdentity
    images: str
    texts: str
    class_prompts: tuple[str, ...] = Field(
        default=(), description="one a class, in the dataset's order; empty where they have none"
    )
    reference: str = Field(
        default="",
        exclude_if=lambda reference: not reference,
        description="what the vectors of statements lead away from; class prompts do not",
    )

    def parts(self) -> tuple[Ref[Artifact], ...]:
        """Return the vectors themselves."""
        return (self.images_ref, self.texts_ref)

    @property
    def images_ref(self) -> Ref[ImageEmbeddings]:
        """The images' vectors."""
        return Ref(ImageEmbeddings.kind, self.images)

    @property
    def texts_ref(self) -> Ref[TextEmbeddings]:
        """The candidate texts' vectors."""
        return Ref(TextEmbeddings.kind, self.texts)
