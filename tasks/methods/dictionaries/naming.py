"""Which statement names a direction, if any does, and whether images bear it out.

In a joint space of images and texts the nearest statement is always some statement, so a name must
pass three tests. Images and texts lie in two cones apart, whose distance would decide every cosine:
both sides are centred first, each by its own mean.

- A floor. Directions that mean nothing have a nearest statement too. Random combinations of the
  atoms lie where atoms lie; what the best cosine of 1 in 20 of them reaches is no sign of meaning.
- A margin: the statement is nearer than the next that says something else. What says nearly the
  same (a cosine of `ALIKE` between the two) is no rival.
- A proof, on images that nothing was learned from, and within classes: a text that only follows
  the class proves nothing of what an image shows beyond it. Of all images a tenth shows most of the
  direction, for its class; the text's own score must tell these from the half of their class that
  shows least. That is an AUROC over pairs of one class, and the lower end of its 95 % interval,
  groups kept together, must lie above what 19 in 20 other texts reach with the same direction.

`chance_of_proof` tells how many names would pass the proof were they dealt at random.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Shaped
from scipy.stats import rankdata

from curette.tasks.methods.dictionaries.dictionary import unit
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import stratified_auroc

MARGIN: Final = 0.02
ALIKE: Final = 0.9
_DRAWS, _QUANTILE, _AT_ONCE = 1000, 0.95, 100
_RIVALS, _RESAMPLES, _DEALS = 200, 1000, 5


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
    said = about_mean(statements)
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


def about_mean(
    texts: Float[np.ndarray, "text dim"],
) -> Float64[np.ndarray, "text dim"]:
    """Return texts as unit rows about their mean, as they are compared with directions."""
    exact = texts.astype(np.float64)
    return unit(exact - exact.mean(axis=0))


@dataclass(frozen=True, eq=False)
class Proofs:
    """How well each atom's text finds it, on held-out images, within classes.

    NaN where no class has two images, or there is no other text.
    """

    area: Float64[np.ndarray, " atom"]
    """AUROC over pairs of one class."""
    low: Float64[np.ndarray, " atom"]
    """The lower end of its 95 % interval over groups."""
    others: Float64[np.ndarray, " atom"]
    """What 19 in 20 other texts do not exceed."""

    @property
    def hold(self) -> Bool[np.ndarray, " atom"]:
        """Tell which texts find their atom better than others do, and not by chance."""
        return self.low > self.others


class Proving:
    """Held-out images, and how well texts find on them what shows much of an atom."""

    def __init__(
        self,
        shown: Float64[np.ndarray, "image atom"],
        texts: Float[np.ndarray, "text dim"],
        scores: Float64[np.ndarray, "image text"],
        labels: Int[np.ndarray, " image"],
        groups: Shaped[np.ndarray, " image"],
        seed: int = 0,
    ) -> None:
        """Compare every atom with some texts that are dealt to it.

        Args:
            shown: how much of each atom an image shows.
            texts: vectors of all that may be a name.
            scores: of the images, by each text.
            labels: classes of the images, of two groups at least.
            groups: who must not be parted.
            seed: of the resamples, and of the texts where there are many.
        """
        self._scores, self._directions = scores, about_mean(texts)
        self._parts = [_parts(column, labels) for column in shown.T]
        self._resampled = ClusterBootstrap.of(groups, _RESAMPLES, seed)
        count = min(_RIVALS, len(texts))
        drawn = np.random.default_rng(seed).choice(len(texts), count, replace=False)
        self._rivals = np.sort(drawn)
        self._areas = np.stack([_areas(part, scores[:, self._rivals]) for part in self._parts])

    def of(self, names: Int[np.ndarray, " atom"]) -> Proofs:
        """Return what a text says of each atom.

        Args:
            names: the number of each atom's text. Others that say nearly the same are no rivals.
        """

        def areas(
            weights: Float64[np.ndarray, "resample image"],
        ) -> Float64[np.ndarray, "resample atom"]:
            columns = np.ascontiguousarray(weights.T)
            values = [
                stratified_auroc(np.ascontiguousarray(self._scores[:, n]), *part, columns)
                if part[1]
                else np.full(len(weights), np.nan)
                for n, part in zip(names.tolist(), self._parts, strict=True)
            ]
            return np.stack(values, axis=1)

        intervals = self._resampled.replicate(areas, "percentile").intervals("percentile", 0.95)
        apart = self._directions[names] @ self._directions[self._rivals].T < ALIKE
        return Proofs(
            np.array([i.value for i in intervals]),
            np.array([i.low for i in intervals]),
            np.array(
                [
                    np.quantile(row[of], _QUANTILE) if of.any() else np.nan
                    for row, of in zip(self._areas, apart, strict=True)
                ]
            ),
        )

    def chance(self, names: Int[np.ndarray, " atom"]) -> float | None:
        """Return the share of names that would be borne out were they dealt at random.

        Returns:
            None where there is one atom.
        """
        generator = np.random.default_rng(0)
        turns = generator.permutation(np.arange(1, len(names)))[:_DEALS]
        dealt = [self.of(np.roll(names, turn)).hold.mean() for turn in turns.tolist()]
        return float(np.mean(dealt)) if dealt else None


_Part = tuple[Bool[np.ndarray, " image"], list[Int[np.ndarray, " _"]]]


def _parts(shown: Float64[np.ndarray, " image"], labels: Int[np.ndarray, " image"]) -> _Part:
    """Return which images show most of an atom for their class, and those that are compared."""
    kinds, kind, counts = np.unique(labels, return_inverse=True, return_counts=True)
    beyond = shown - (np.bincount(kind, shown) / counts)[kind]
    with_others = np.flatnonzero(counts[kind] > 1)
    highest = with_others[np.argsort(-beyond[with_others], kind="stable")]
    most = np.zeros(len(shown), dtype=bool)
    most[highest[: max(1, len(shown) // 10)]] = True
    compared = []
    for k in range(len(kinds)):
        rows = np.flatnonzero(kind == k)
        low = rows[np.argsort(shown[rows], kind="stable")][: len(rows) // 2]
        top, low = rows[most[rows]], low[~most[low]]
        if len(top) and len(low):
            compared.append(np.concatenate([top, low]))
    return most, compared


def _areas(part: _Part, scores: Float64[np.ndarray, "image text"]) -> Float64[np.ndarray, " text"]:
    """Return the AUROC of many texts over pairs of one class; NaN where there is no pair."""
    above, pairs = np.zeros(scores.shape[1]), 0
    for rows in part[1]:
        top = int(part[0][rows].sum())
        above += rankdata(scores[rows], axis=0)[:top].sum(axis=0) - top * (top + 1) / 2
        pairs += top * (len(rows) - top)
    return above / pairs if pairs else np.full(scores.shape[1], np.nan)
