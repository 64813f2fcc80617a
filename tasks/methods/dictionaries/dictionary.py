"""What every way of learning directions returns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

_Vectors = Float64[np.ndarray, "image dim"]
_Codes = Float64[np.ndarray, "image atom"]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Directions, and how much of each there is in a vector."""

    atoms: Float64[np.ndarray, "atom dim"]
    """Unit rows that vectors are made of: what a name is compared with."""
    readers: Float64[np.ndarray, "atom dim"]
    """Unit rows whose products with vectors tell how much of an atom there is; often the atoms."""
    encode: Callable[[_Vectors], _Codes]
    """From centred vectors to what times the atoms gives them back."""

    def take(self, places: list[int]) -> "Dictionary":
        """Return some of the atoms, in this order."""
        encode = self.encode
        return Dictionary(
            self.atoms[places], self.readers[places], lambda vectors: encode(vectors)[:, places]
        )


Fit = Callable[[_Vectors, int, int, int], Dictionary]
"""From centred vectors, a number of atoms, how many may be in use a vector, and a seed."""


def unit(rows: Float64[np.ndarray, "row dim"]) -> Float64[np.ndarray, "row dim"]:
    """Return rows at unit length; those of length 0 stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)
