"""Subgroups of images by the columns of their metadata, none so small that it tells who is in it.

A value is named only if enough independent groups (people, lesions) carry it: nobody may be
recognised. Smaller ones are merged into "other", and hidden where that is still too small; steps of
a scale, such as skin types, join their neighbours instead ("IV to VI").
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from curette.schemas.metadata import UnusableColumn
from curette.tasks.methods.metadata import (
    MOST_VALUES,
    Subgroups,
    names_single_images,
    read_column,
)

SMALLEST_SUBGROUP = 10  # independent groups
_OTHER = "other"
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


def find_subgroups(
    table: pd.DataFrame,
    groups: Shaped[np.ndarray, " image"],
    edges: Mapping[str, Sequence[float]],
    smallest: int = SMALLEST_SUBGROUP,
    asked_for: Collection[str] = (),
) -> tuple[tuple[Subgroups, ...], tuple[UnusableColumn, ...]]:
    """Return the subgroups of every usable column, and the columns that are not.

    Args:
        table: one row an image, metadata columns only.
        groups: images that are not independent share one.
        edges: column -> inner edges of its bins, rising; a value on an edge belongs above it.
            Without them an age is cut at 20, 40, 60 and 80, and any other column of more than 10
            different numbers at its quartiles, to three digits.
        smallest: how many groups a subgroup needs to be shown.
        asked_for: columns that are used even if they look like identifiers, such as `site_id`.
    """
    used, unusable = [], []
    for column in table.columns:
        if str(column) not in asked_for and names_single_images(str(column), table[column]):
            reason = "names single images instead of groups of them"
            unusable.append(UnusableColumn(column=str(column), reason=reason))
            continue
        read = read_column(str(column), table[column], edges.get(str(column)))
        if isinstance(read, Subgroups):
            read = _merge_small(read, groups, smallest)
        if isinstance(read, Subgroups):
            used.append(read)
        else:
            unusable.append(read)
    return tuple(used), tuple(unusable)


def _merge_small(
    read: Subgroups, groups: Shaped[np.ndarray, " image"], smallest: int
) -> Subgroups | UnusableColumn:
    """Keep the largest subgroups, at most 12; merge the rest into "other" or hide it.

    Small steps of a scale, such as skin types, join their neighbours first: the ends of a scale
    are what readers look for.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    read = _join_steps(read, group_of, smallest)
    sizes = _sizes(read, group_of)
    largest = sorted(range(len(sizes)), key=lambda i: -sizes[i])[:MOST_VALUES]
    kept = [
        i for i in sorted(largest) if sizes[i] >= smallest and read.names[i].casefold() != _OTHER
    ]
    position = np.full(len(read.names), len(kept))
    position[kept] = np.arange(len(kept))
    of_image = position[read.of_image]
    names = tuple(read.names[i] for i in kept)
    if len(np.unique(group_of[of_image == len(kept)])) >= smallest:
        names = (*names, _OTHER)
    else:
        of_image = np.where(of_image == len(kept), -1, of_image)
    if len(names) < 2:
        reason = f"fewer than two values are carried by {smallest} independent groups"
        return UnusableColumn(column=read.column, reason=reason)
    return replace(read, names=names, of_image=of_image.astype(np.int64))


def _sizes(read: Subgroups, group_of: Int[np.ndarray, " image"]) -> list[int]:
    """Return how many groups carry each value."""
    return [len(np.unique(group_of[read.of_image == i])) for i in range(len(read.names))]


def _join_steps(read: Subgroups, group_of: Int[np.ndarray, " image"], smallest: int) -> Subgroups:
    """Join steps of a scale that too few groups carry with the smaller of their neighbours.

    A scale is Roman numerals in their order, or whole numbers; its joined steps are called `IV to
    VI`. Whatever else stands in the column, such as "not stated", is left as it is.
    """
    steps = [i for i, name in enumerate(read.names) if _step(name) is not None]
    steps.sort(key=lambda i: _step(read.names[i]) or 0)
    others = len(read.names) - len(steps)  # such as what is not stated
    if others > 1 or len(steps) > len(_ROMAN) or read.column.casefold().endswith("id"):
        return read
    runs = [[i] for i in steps]

    def size(run: list[int]) -> int:
        return len(np.unique(group_of[np.isin(read.of_image, run)]))

    while len(runs) > 1 and min(map(size, runs)) < smallest:
        at = min(range(len(runs)), key=lambda k: size(runs[k]))
        beside = min(
            (k for k in (at - 1, at + 1) if 0 <= k < len(runs)), key=lambda k: size(runs[k])
        )
        first, second = sorted((at, beside))
        runs[first : second + 1] = [runs[first] + runs[second]]
    rest = [[i] for i in range(len(read.names)) if i not in steps]
    joined = [*runs, *rest]
    names = tuple(
        read.names[run[0]] if len(run) == 1 else f"{read.names[run[0]]} to {read.names[run[-1]]}"
        for run in joined
    )
    of_image = np.full_like(read.of_image, -1)
    for k, run in enumerate(joined):
        of_image[np.isin(read.of_image, run)] = k
    return replace(read, names=names, of_image=of_image)


def _step(name: str) -> int | None:
    """Return which step of a scale a name is; None where it is none."""
    if name.isdecimal():
        return int(name)
    return _ROMAN.index(name) + 1 if name in _ROMAN else None
