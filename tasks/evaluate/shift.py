"""Domain shift: splits in which a shortcut that helps in training misleads in the test.

A head that reads sex or site instead of the finding looks good wherever the two go together. A
confounded split makes them go together as declared in training, validation and an in-domain test,
and the other way round in an out-of-domain test (Yang et al., A textbook remedy for domain shifts,
NeurIPS 2024, build theirs so; Sagawa et al., ICLR 2020, for worst-group accuracy).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from tasks.evaluate.metrics import all_metrics

Part = Literal["train", "validation", "in_domain_test", "out_of_domain_test"]
PARTS: tuple[Part, ...] = get_args(Part)
LEFT_OUT = -1

_Labels = Int[np.ndarray, " image"]
_Table = Float64[np.ndarray, "class level"]


@dataclass(frozen=True)
class ReachedCorrelation:
    """How far label and attribute go together in one part; NaN where one of them is constant."""

    part: Part
    images: int
    cramers_v: float
    phi: float
    """Signed: positive if the declared pairs are frequent; NaN unless the table is 2 x 2."""
    paired_share: float
    """Share of the images whose attribute is the one declared for their class."""


@dataclass(frozen=True, eq=False)
class ShiftSplit:
    """The part of each image, as an index into `PARTS`; -1 for those that had to be left out."""

    part: Int[np.ndarray, " image"]
    correlations: tuple[ReachedCorrelation, ...]
    left_out: Int[np.ndarray, "class level"]
    """How many images of each class and level are in no part; levels of -1 are not counted."""


def build_confounded_split(
    labels: _Labels,
    levels: _Labels,
    groups: Shaped[np.ndarray, " image"],
    correlation: float,
    shares: tuple[float, float, float, float],
    seed: int,
    pairing: Sequence[int] | None = None,
) -> ShiftSplit:
    """Choose images so that label and attribute correlate as declared, and reversed in the last.

    With p_k the share of class k in the data, a(k) its paired level, q_a the share of classes
    paired with level a, and r the correlation, a part holds

        P(k, a) = p_k (r [a = a(k)] + (1 - r) q_a)

    whose Cramer's V is r for any p (for two classes and levels, phi = r). In the out-of-domain test
    a(k) is the next of the paired levels, so that phi = -r. Classes keep their share in every part;
    those of levels change sides with the pairs, the more so the less balanced the classes are.

    Parts are as large as the scarcest class and level allows, and images beyond that are left out.
    Whole groups are placed, the largest first, each where the most room is left; one that fits
    nowhere is left out, so mixed groups can cost some of the correlation: see what was reached.

    Args:
        levels: level of the attribute, 0, 1, ...; -1 where it is missing.
        correlation: r, 0 to 1.
        shares: of `PARTS`; they sum to 1.
        pairing: the level of each class; k modulo the number of levels where None.

    Raises:
        ValueError: arguments out of range, or a needed class and level have no image.
    """
    classes, level_count = int(labels.max()) + 1, int(levels.max()) + 1
    paired = np.asarray(
        pairing if pairing is not None else np.arange(classes) % max(level_count, 1)
    )
    used = np.unique(paired)
    if not 0 <= correlation <= 1 or abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise ValueError(
            f"a correlation of {correlation:g} and shares of {shares} cannot be built: the "
            "correlation must be in 0 .. 1 and the shares must sum to 1. Change them."
        )
    if len(paired) != classes or len(used) < 2 or used[0] < 0 or used[-1] >= level_count:
        raise ValueError(
            f"{classes} classes cannot be paired with levels {paired.tolist()} of {level_count}: "
            "each class needs one level, and two levels must occur; usually the attribute is "
            "constant. Choose another column or pairing."
        )
    known = levels >= 0
    available = _table(labels[known], levels[known], classes, level_count)
    reverse = used[(np.searchsorted(used, paired) + 1) % len(used)]
    class_shares = np.bincount(labels, minlength=classes) / len(labels)
    wanted = np.stack(
        [
            share * _confounded(class_shares, pairs, correlation, level_count)
            for share, pairs in zip(shares, (paired, paired, paired, reverse), strict=True)
        ]
    )
    needed = wanted.sum(0)
    if (empty := np.argwhere((needed > 0) & (available == 0))).size:
        k, level = empty[0]
        raise ValueError(
            f"class {k} has no image of level {level}, so label and attribute cannot be taken "
            "apart; usually the attribute has a rare level. Merge levels, leave the class out, or "
            "choose another column."
        )
    scale = (available[needed > 0] / needed[needed > 0]).min()
    room = np.floor(scale * wanted + 1e-9)
    cell = np.where(known, labels * level_count + levels, -1)
    part = _place_groups(groups, cell, room.reshape(len(PARTS), -1), seed)
    return _described(part, labels, levels, paired, (classes, level_count))


def _confounded(
    class_shares: Float64[np.ndarray, " class"],
    pairing: Int[np.ndarray, " class"],
    correlation: float,
    levels: int,
) -> _Table:
    level_shares = np.bincount(pairing, class_shares, minlength=levels)
    paired = (pairing[:, None] == np.arange(levels)).astype(np.float64)
    return class_shares[:, None] * (correlation * paired + (1 - correlation) * level_shares)


def _place_groups(
    groups: Shaped[np.ndarray, " image"],
    cell: Int[np.ndarray, " image"],
    room: Float64[np.ndarray, "part cell"],
    seed: int,
) -> Int[np.ndarray, " image"]:
    """Return the part of each image: groups go where they fit and the largest share is free."""
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    free = room.copy()
    part = np.full(len(cell), LEFT_OUT)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        cells, counts = np.unique(cell[members[group]], return_counts=True)
        if cells[0] < 0:  # the attribute of an image is missing
            continue
        fits = (free[:, cells] >= counts).all(1)
        if fits.any():
            share = np.where(fits, (free[:, cells] / np.maximum(room[:, cells], 1)).sum(1), -1)
            chosen = int(share.argmax())
            free[chosen, cells] -= counts
            part[members[group]] = chosen
    return part


def split_by_domain(
    labels: _Labels,
    levels: _Labels,
    groups: Shaped[np.ndarray, " image"],
    split: _Labels,
    train_levels: Sequence[int],
    test_levels: Sequence[int],
) -> ShiftSplit:
    """Train on some levels of a metadata column and test on others.

    Images of `train_levels` keep their split (0 train, 1 validation, 2 test: the in-domain test);
    all images of `test_levels` are the out-of-domain test, but for groups that reach into training
    levels, which are left out.

    Raises:
        ValueError: a level is on both sides, or a side has no image.
    """
    source, target = np.isin(levels, train_levels), np.isin(levels, test_levels)
    if (source & target).any() or not source.any() or not target.any():
        raise ValueError(
            f"cannot train on levels {list(train_levels)} and test on {list(test_levels)}: the "
            "sides must differ and both need images. Name values that the column has."
        )
    part = np.where(source, split, LEFT_OUT)
    part[target & ~np.isin(groups, groups[source])] = PARTS.index("out_of_domain_test")
    shape = (int(labels.max()) + 1, int(levels.max()) + 1)
    return _described(part, labels, levels, np.arange(shape[0]) % shape[1], shape)


def _described(
    part: Int[np.ndarray, " image"],
    labels: _Labels,
    levels: _Labels,
    pairing: Int[np.ndarray, " class"],
    shape: tuple[int, int],
) -> ShiftSplit:
    reached = []
    for number, name in enumerate(PARTS):
        here = (part == number) & (levels >= 0)
        table = _table(labels[here], levels[here], *shape)
        images = int(here.sum())
        on_pair = table[np.arange(shape[0]), pairing].sum()
        phi = cramers_v(table) if shape == (2, 2) else float("nan")
        if shape == (2, 2) and np.linalg.det(table) * (-1) ** int(pairing[0] != 0) < 0:
            phi = -phi
        reached.append(
            ReachedCorrelation(
                part=name,
                images=images,
                cramers_v=cramers_v(table),
                phi=phi,
                paired_share=float(on_pair / images) if images else float("nan"),
            )
        )
    lost = (part == LEFT_OUT) & (levels >= 0)
    left_out = _table(labels[lost], levels[lost], *shape).astype(np.int64)
    return ShiftSplit(part.astype(np.int64), tuple(reached), left_out)


def _table(labels: _Labels, levels: _Labels, classes: int, level_count: int) -> _Table:
    counts = np.bincount(labels * level_count + levels, minlength=classes * level_count)
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


# --- statistics for the bootstrap ------------------------------------------------------------

ShiftValue = Literal["in_domain", "out_of_domain", "gap", "mean"]
SHIFT_VALUES: tuple[ShiftValue, ...] = get_args(ShiftValue)


def shift_metrics(
    labels: _Labels,
    probabilities: Float64[np.ndarray, "image class"],
    out_of_domain: Bool[np.ndarray, " image"],
    weights: Float64[np.ndarray, "resample image"],
) -> Float64[np.ndarray, "resample value metric"]:
    """Return every metric in and out of domain, the gap (in minus out), and the mean of both.

    The gap keeps its sign, since the size of a difference has no unbiased interval around 0.
    """
    inside, outside = (
        all_metrics(labels[here], probabilities[here], weights[:, here])
        for here in (~out_of_domain, out_of_domain)
    )
    return np.stack([inside, outside, inside - outside, (inside + outside) / 2], axis=1)


def worst_group_accuracy(
    labels: _Labels,
    probabilities: Float64[np.ndarray, "image class"],
    cell: Int[np.ndarray, " image"],
    weights: Float64[np.ndarray, "resample image"],
) -> Float64[np.ndarray, " resample"]:
    """Return the lowest accuracy over cells such as class x attribute; NaN where all are empty.

    Args:
        cell: 0, 1, ...; -1 for images that count in none, such as those of a cell that is too small
            to be judged.
    """
    member = (cell[:, None] == np.arange(int(cell.max()) + 1)).astype(np.float64)
    right = (probabilities.argmax(1) == labels)[:, None]
    images = weights @ member
    with np.errstate(invalid="ignore"):
        of_cell = (weights @ (member * right)) / images
    lowest = np.where(images > 0, of_cell, np.inf).min(1, initial=np.inf)
    return np.where(np.isinf(lowest), np.nan, lowest)
