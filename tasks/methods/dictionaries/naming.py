"""Which statement names a direction, if any does, and whether images bear it out.

In a joint space of images and texts the nearest statement is always some statement, so a name must
pass three tests. Images and texts lie in two cones apart, whose distance would decide every cosine:
both sides are centred first, each by its own mean.

- A floor. Directions that mean nothing have a nearest statement too. Random combinations of the
  atoms lie where atoms lie; what the best cosine of 1 in 20 of them reaches is no sign of meaning.
- A margin: the statement is nearer than the next that says something else. What says nearly the
  same (a cosine of `ALIKE` between the two) is no rival.
- A proof, on images that nothing was learned from: the statement's own score must tell the tenth of
  the images that show most of the direction from the half that show least, by an AUROC of `PROOF`.

The proof alone proves little where both follow the class: `chance_of_proof` tells how many names
would pass it were they dealt at random.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy.stats import rankdata

from curette.tasks.methods.dictionaries.dictionary import unit

MARGIN: Final = 0.02
PROOF: Final = 0.75
ALIKE: Final = 0.9
_DRAWS, _QUANTILE, _AT_ONCE = 1000, 0.95, 100


@dataclass(frozen=True, eq=False)
class Names:
    """The nearest statement of each atom."""

    statement: Int[np.ndarray, " atom"]
    cosine: Float64[np.ndarray, " atom"]
    margin: Float64[np.ndarray, " atom"]
    p_value: Float64[np.ndarray, " atom"]
    """(1 + random combinations with as near a statement) / (1 + all)."""
    floor: float

    @property
    def fit(self) -> Bool[np.ndarray, " atom"]:
        """Tell which are near enough, and nearer than any other statement."""
        return (self.cosine > self.floor) & (self.margin >= MARGIN)


def nearest_statements(
    atoms: Float64[np.ndarray, "atom dim"],
    statements: Float[np.ndarray, "statement dim"],
    seed: int = 0,
) -> Names:
    """Return the statement nearest to each atom, and what chance has to offer.

    Args:
        atoms: unit rows among centred image vectors.
        statements: vectors of two statements at least, not centred yet.
        seed: of the random combinations.
    """
    said = statements.astype(np.float64)
    said = unit(said - said.mean(axis=0))
    cosines = atoms @ said.T
    best = cosines.argmax(axis=1)
    cosine = cosines.max(axis=1)
    rivals = np.where(said[best] @ said.T < ALIKE, cosines, -1.0)
    generator = np.random.default_rng(seed)
    by_chance = np.concatenate(
        [
            (unit(generator.normal(size=(_AT_ONCE, len(atoms))) @ atoms) @ said.T).max(axis=1)
            for _ in range(_DRAWS // _AT_ONCE)
        ]
    )
    above = (by_chance[None] >= cosine[:, None]).sum(axis=1)
    return Names(
        statement=best,
        cosine=cosine,
        margin=cosine - rivals.max(axis=1),
        p_value=(1 + above) / (1 + len(by_chance)),
        floor=float(np.quantile(by_chance, _QUANTILE)),
    )


def proofs(
    shown: Float64[np.ndarray, "image atom"], said: Float64[np.ndarray, "image statement"]
) -> Float64[np.ndarray, "atom statement"]:
    """Return how well each statement's score finds each atom: an AUROC on held-out images.

    Args:
        shown: how much of each atom an image shows.
        said: the score of each statement.

    Returns:
        The chance that an image of the top tenth by `shown` scores higher than one of the lower
        half.
    """
    count = len(shown)
    top, low = max(1, count // 10), max(1, count // 2)
    areas = np.empty((shown.shape[1], said.shape[1]))
    for atom, order in enumerate(np.argsort(-shown, axis=0, kind="stable").T):
        rows = np.concatenate([order[:top], order[count - low :]])
        ranks = rankdata(said[rows], axis=0)[:top].sum(axis=0)
        areas[atom] = (ranks - top * (top + 1) / 2) / (top * low)
    return areas


def chance_of_proof(areas: Float64[np.ndarray, "atom atom"]) -> float | None:
    """Return the share of names that would be borne out were they dealt at random.

    Args:
        areas: of each atom by the nearest statement of each.

    Returns:
        None where there is one atom.
    """
    others = ~np.eye(len(areas), dtype=bool)
    return float((areas[others] >= PROOF).mean()) if others.any() else None
