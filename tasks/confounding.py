"""Choosing images so that label and attribute go together as declared, or the other way round.

A head that reads sex or a ruler instead of the finding looks good wherever the two go together. A
confounded test takes them apart (Yang et al., A textbook remedy for domain shifts, NeurIPS 2024,
build theirs so).

No stage: training parts are chosen before, test parts during the evaluation, both by this.
"""

from collections.abc import Sequence
from math import isnan

import numpy as np
from jaxtyping import Float64, Int, Shaped

from schemas.shifts import ShiftPart, ShiftPartName, ShiftPlan

LEFT_OUT = -1

_Labels = Int[np.ndarray, " image"]
_Pairing = Int[np.ndarray, " class"]
_Table = Float64[np.ndarray, "class level"]


class NoImages(ValueError):
    """A class has no image of a level that it needs."""

    def __init__(self, label: int, level: int) -> None:
        super().__init__(f"class {label} has no image of level {level}")
        self.label = label
        self.level = level


def draw_confounded(
    labels: _Labels,
    levels: _Labels,
    pairings: Sequence[_Pairing],
    correlation: float,
    seed: int,
) -> Int[np.ndarray, " image"]:
    """Return the part of each image, one part a pairing; -1 for those that are left out.

    With p_k the share of class k in the data, a(k) its level by the part's pairing, q_a the share
    of classes paired with level a, and r the correlation, a part holds

        P(k, a) = p_k (r [a = a(k)] + (1 - r) q_a)

    whose Cramer's V is r for any p (for two classes and levels, phi = r). So classes keep their
    share in every part; those of levels change sides with the pairs, the more so the less balanced
    the classes are. Parts are equally large, and as large as the scarcest class and level allows.

    Single images are chosen, since an attribute such as a ruler differs between images of one
    person. Whoever tests elsewhere than in training parts people beforehand, by the data's splits.

    Args:
        labels: classes, 0, 1, ...
        levels: of the attribute, 0, 1, ...; -1 where it is not known.
        pairings: for each part the level of each class.
        correlation: r, 0 to 1.
        seed: equal seeds choose equal images.

    Raises:
        NoImages: of a needed class and level.
    """
    classes, level_count = len(pairings[0]), int(np.max(pairings)) + 1
    level_count = max(level_count, int(levels.max(initial=0)) + 1)
    available = label_table(labels, levels, classes, level_count)
    class_shares = np.bincount(labels, minlength=classes) / max(len(labels), 1)
    wanted = np.stack([_confounded(class_shares, a, correlation, level_count) for a in pairings])
    needed = wanted.sum(0)
    if (empty := np.argwhere((needed > 0) & (available == 0))).size:
        raise NoImages(int(empty[0][0]), int(empty[0][1]))
    scale = (available[needed > 0] / needed[needed > 0]).min(initial=np.inf)
    room = np.floor(scale * wanted + 1e-9).astype(np.int64) if np.isfinite(scale) else wanted * 0
    part = np.full(len(labels), LEFT_OUT)
    generator = np.random.default_rng(seed)
    for k, level in np.ndindex(*available.shape):
        chosen = generator.permutation(np.flatnonzero((labels == k) & (levels == level)))
        ends = np.cumsum(room[:, k, level])
        for number, (first, last) in enumerate(zip(np.append(0, ends[:-1]), ends, strict=True)):
            part[chosen[first:last]] = number
    return part


def _confounded(
    class_shares: Float64[np.ndarray, " class"],
    pairing: _Pairing,
    correlation: float,
    levels: int,
) -> _Table:
    level_shares = np.bincount(pairing, class_shares, minlength=levels)
    paired = (pairing[:, None] == np.arange(levels)).astype(np.float64)
    return class_shares[:, None] * (correlation * paired + (1 - correlation) * level_shares)


def reverse_pairing(pairing: _Pairing) -> _Pairing:
    """Return each class with the next of the paired levels; for two classes and levels, swapped."""
    used = np.unique(pairing)
    return np.asarray(used[(np.searchsorted(used, pairing) + 1) % len(used)])


def pair_by_majority(table: _Table) -> _Pairing:
    """Return for each class the level that it has the most more often than all images have it.

    argmax_a P(a | k) - P(a), the first of equals; classes without images take level 0.
    """
    of_class = table / np.maximum(table.sum(1, keepdims=True), 1)
    return np.asarray((of_class - table.sum(0) / max(table.sum(), 1)).argmax(1))


def describe_part(
    plan: ShiftPlan,
    name: ShiftPartName,
    labels: _Labels,
    levels: _Labels,
    groups: Shaped[np.ndarray, " image"],
) -> ShiftPart:
    """Return how many images a part has and, of a confounded shift, the correlation reached."""
    association = share = None
    if plan.pairing and len(labels):
        table = label_table(labels, levels, len(plan.pairing), len(plan.values))
        reached = cramers_v(table)
        association = None if isnan(reached) else reached
        share = float((levels == plan.paired[labels]).mean())
    return ShiftPart(
        name=name,
        images=len(labels),
        groups=len(np.unique(groups)),
        classes=len(np.unique(labels)),
        cramers_v=association,
        paired_share=share,
    )


def label_table(labels: _Labels, levels: _Labels, classes: int, level_count: int) -> _Table:
    """Return the number of images of each class and level; those of unknown level do not count."""
    known = levels >= 0
    cell = labels[known] * level_count + levels[known]
    counts = np.bincount(cell, minlength=classes * level_count)
    return counts.reshape(classes, level_count).astype(np.float64)


def cramers_v(table: _Table) -> float:
    """Return Cramer's V = sqrt(chi^2 / (n (min(rows, columns) - 1))), empty ones not counted.

    For two rows and columns it is the size of phi (Cramer, Mathematical methods of statistics,
    1946, section 21.9). NaN where one variable is constant.
    """
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    if min(table.shape) < 2:
        return float("nan")
    total = table.sum()
    expected = np.outer(table.sum(1), table.sum(0)) / total
    chi_square = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi_square / (total * (min(table.shape) - 1))))
