"""What was taken out of published vectors, and what that left for a probe to find."""

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, Field


class Probed(BaseModel, frozen=True):
    """Balanced accuracy of fresh linear probes on groups that they were not fitted on."""

    value: float
    low: float
    high: float

    @property
    def told(self) -> str:
        """The value with its interval."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class ErasedColumn(BaseModel, frozen=True):
    """A column of metadata that vectors no longer tell, as far as linear probes go."""

    column: str
    values: int = Field(description="how many there are; who knows nothing is right in one of them")
    images: int = Field(description="validation images with a value, on which probes are fitted")
    before: Probed | None = Field(description="nothing where a value has fewer than five groups")
    after: Probed | None

    @property
    def told(self) -> str:
        """What was found before and after, in a sentence."""
        if self.before is None or self.after is None:
            return (
                f"{self.column} was erased from vectors on training images; a value has too few "
                "groups among validation images to show what that left."
            )
        return (
            f"Fresh linear probes tell {self.column} with a balanced accuracy of "
            f"{self.before.told} before and {self.after.told} after it was erased; who knows "
            f"nothing has {1 / self.values:.3f} ({self.images:,} validation images, of which the "
            "erasure knew nothing; groups held out)."
        )


class Erasure(BaseModel, frozen=True):
    """A map x - left right (x - mean) after which columns have no covariance with vectors."""

    columns: tuple[ErasedColumn, ...]
    mean: tuple[float, ...] = Field(repr=False)
    left: tuple[tuple[float, ...], ...] = Field(repr=False, description="a row a dimension")
    right: tuple[tuple[float, ...], ...] = Field(repr=False, description="a column a dimension")

    def apply(self, vectors: Float32[np.ndarray, "image dim"]) -> Float32[np.ndarray, "image dim"]:
        """Return vectors without what they tell of the columns."""
        left, right = np.array(self.left), np.array(self.right)
        told = (vectors.astype(np.float64) - np.array(self.mean)) @ right.T
        return (vectors - told @ left.T).astype(np.float32)
