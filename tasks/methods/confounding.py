"""Letting label and attribute go together as declared, or the other way round.

A head that reads sex or a ruler instead of the finding looks good wherever the two go together. A
confounded test takes them apart (Yang et al., A textbook remedy for domain shifts, NeurIPS 2024,
build theirs so). With p_k the share of class k in the data, a(k) the attribute's level that goes
with it, q_a the share of classes whose level is a, and r the correlation, images are to have

    P(k, a) = p_k (r [a = a(k)] + (1 - r) q_a)

whose Cramer's V is r for any p (for two classes and levels, phi = r). So classes keep their share;
those of levels change as a(k) does, the more so the less balanced the classes are. What is trained
on is drawn so. What is tested on is weighed so, which loses no image: a metric under these weights
estimates the metric on images drawn so.

No stage: training images are drawn before the evaluation, test images weighed in it, both by this.
"""

from math import isnan

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from curette.schemas.shifts import ShiftPart, ShiftPartName, ShiftPlan

_Labels = Int[np.ndarray, " image"]
_Levels = Int[np.ndarray, " image"]  # 0, 1, ...; -1 where it is not known
_Pairing = Int[np.ndarray, " class"]  # the level that goes with each class
_Table = Float64[np.ndarray, "class level"]
_Weights = Float64[np.ndarray, " image"]


def lacking_cells(
    labels: _Labels, levels: _Levels, pairing: _Pairing, correlation: float
) -> Int[np.ndarray, "cell 2"]:
    """Return class and level of what is needed and has no image."""
    available, wanted = _tables(labels, levels, pairing, correlation)
    return np.argwhere((wanted > 0) & (available == 0))


def draw_confounded(
    labels: _Labels,
    levels: _Levels,
    pairing: _Pairing,
    correlation: float,
    seed: int,
    aside: Bool[np.ndarray, " class"],
) -> Bool[np.ndarray, " image"]:
    """Return which images are drawn: as many as the scarcest class and level allows.

    Single images are drawn, since an attribute such as a ruler differs between images of one
    person; people are parted beforehand, by the splits that this draws within. A class and level
    without images stay empty; the correlation reached tells.

    Args:
        aside: classes that take no part: drawn in their share, whatever their level is.
    """
    part = np.where(aside[labels], -1, levels)
    available, wanted = _tables(labels, part, pairing, correlation)
    needed = (wanted > 0) & (available > 0)
    scale = (available[needed] / wanted[needed]).min(initial=np.inf)
    drawn = np.zeros(len(labels), dtype=bool)
    if not needed.any():
        return drawn
    generator = np.random.default_rng(seed)
    for k, level in np.argwhere(needed):
        cell = np.flatnonzero((labels == k) & (part == level))
        drawn[generator.permutation(cell)[: round(scale * wanted[k, level])]] = True
    for k in np.flatnonzero(aside):
        cell = np.flatnonzero(labels == k)
        share = len(cell) / available.sum()
        drawn[generator.permutation(cell)[: round(scale * share)]] = True
    return drawn


def weigh_confounded(
    labels: _Labels, levels: _Levels, pairing: _Pairing, correlation: float
) -> _Weights:
    """Return what each image counts: P(k, a) over its share of the images, 0 where that is unknown.

    What a class and level without images should count is lost; the correlation reached tells.
    """
    available, wanted = _tables(labels, levels, pairing, correlation)
    share = available / max(available.sum(), 1)
    ratio = np.divide(wanted, share, out=np.zeros_like(wanted), where=share > 0)
    return np.where(levels >= 0, ratio[labels, levels], 0.0)


def _tables(
    labels: _Labels, levels: _Levels, pairing: _Pairing, correlation: float
) -> tuple[_Table, _Table]:
    """Return how many images each class and level has, and which share of all it should have."""
    level_count = max(int(pairing.max()), int(levels.max(initial=0))) + 1
    available = label_table(labels, levels, len(pairing), level_count)
    class_shares = available.sum(1) / max(available.sum(), 1)
    level_shares = np.bincount(pairing, class_shares, minlength=level_count)
    paired = (pairing[:, None] == np.arange(level_count)).astype(np.float64)
    wanted = class_shares[:, None] * (correlation * paired + (1 - correlation) * level_shares)
    return available, wanted


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
    levels: _Levels,
    groups: Shaped[np.ndarray, " image"],
    weights: _Weights,
) -> ShiftPart:
    """Return how many images a part has and, of a confounded shift, the correlation reached.

    Images of an unknown level, or of a class that takes no part, are counted without it: level -1.
    """
    here, part = weights > 0, (weights > 0) & (levels >= 0)
    association = share = None
    if plan.pairing and part.any():
        of_part = labels[part], levels[part]
        table = label_table(*of_part, len(plan.pairing), len(plan.values), weights[part])
        reached = cramers_v(table)
        association = None if isnan(reached) else reached
        share = float(np.average(of_part[1] == plan.paired[of_part[0]], weights=weights[part]))
    labels, weights = labels[here], weights[here]
    return ShiftPart(
        name=name,
        images=len(labels),
        effective_images=float(weights.sum() ** 2 / max((weights**2).sum(), 1e-12)),
        groups=len(np.unique(groups[here])),
        classes=len(np.unique(labels)),
        cramers_v=association,
        paired_share=share,
    )


def label_table(
    labels: _Labels,
    levels: _Levels,
    classes: int,
    level_count: int,
    weights: _Weights | None = None,
) -> _Table:
    """Return the images, or their weight, of each class and level; unknown levels are left out."""
    known = levels >= 0
    cell = labels[known] * level_count + levels[known]
    counts = np.bincount(
        cell, None if weights is None else weights[known], minlength=classes * level_count
    )
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
