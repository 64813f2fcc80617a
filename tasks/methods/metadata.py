"""Reading a column of the metadata: which images carry which value, or lie in which bin.

No stage: what stages share that ask who or what is on an image, whatever its label is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.metadata import UnusableColumn, value_name

MOST_VALUES = 12
NOT_STATED = "not stated"
_MOST_NUMBERS = 10  # distinct numbers that are still categories, such as skin types 1 to 6
_AGE_EDGES = (20.0, 40.0, 60.0, 80.0)
_MISSING = {"", "n/a", "na", "nan", "null", "unknown", NOT_STATED}


@dataclass(frozen=True, eq=False)
class Subgroups:
    """The images of each value or bin of one metadata column."""

    column: str
    names: tuple[str, ...]
    of_image: Int[np.ndarray, " image"]
    """Index into `names`; -1 where the subgroup is too small to be shown."""


def names_single_images(column: str, values: pd.Series) -> bool:
    """Return whether a column that nobody asked for looks like one of identifiers."""
    stated = values[~_is_missing(values)]
    return _is_of_ids(column) or (
        not _is_numeric(stated) and stated.nunique() > max(MOST_VALUES, len(stated) / 2)
    )


def read_column(
    column: str, values: pd.Series, edges: Sequence[float] | None
) -> Subgroups | UnusableColumn:
    """Return every value or bin of a column, however small; missing values are "not stated"."""
    missing = _is_missing(values)
    stated = values[~missing]
    many_numbers = _is_numeric(stated) and stated.nunique() > _MOST_NUMBERS
    if edges is not None and not _is_numeric(stated):
        reason = "is not of numbers, so that no edge parts it"
        return UnusableColumn(column=column, reason=reason)
    if edges is not None or (many_numbers and not _is_of_ids(column)):
        names, of_stated = _binned(column, pd.to_numeric(stated).to_numpy(np.float64), edges)
    else:
        names, of_stated = _categories(stated)
    of_image = np.full(len(values), len(names))
    of_image[~missing] = of_stated
    return Subgroups(column, (*names, NOT_STATED), of_image)


def name_values(
    column: str, values: pd.Series, below: float | None
) -> Shaped[np.ndarray, " image"]:
    """Return what a column that a study names says of each image, `None` where it says nothing.

    Args:
        column: its name.
        values: one an image, of all images of the study: whether "01" is a number is told by all.
        below: where given, the column is of numbers, and each becomes the half that it lies in,
            such as "under 60" and "60 and over".

    Raises:
        StudyError: the column holds text, and `below` is given.
    """
    missing = _is_missing(values)
    stated = values[~missing]
    if below is None:
        names, of_stated = _categories(stated)
    elif _is_numeric(stated):
        numbers = pd.to_numeric(stated).to_numpy(np.float64)
        names, of_stated = _binned(column, numbers, (below,))
    else:
        raise StudyError(
            f"the metadata column {column} is not of numbers, so nothing in it is below {below:g}; "
            "name its values instead of giving `below`"
        )
    named = np.full(len(values), None, dtype=object)
    named[~missing] = np.array(names, dtype=object)[of_stated]
    return named


def _is_missing(values: pd.Series) -> Bool[np.ndarray, " image"]:
    return (values.isna() | _folded(values).isin(_MISSING)).to_numpy(dtype=bool)


def _words(column: str) -> set[str]:
    return set(re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", column).casefold()))


def _is_of_ids(column: str) -> bool:
    return "id" in _words(column)


def _is_of_truth_values(stated: pd.Series) -> bool:
    """Return whether all are true or false, also where missing ones made them objects or text."""
    return bool(_folded(stated).isin(["true", "false"]).all())


def _folded(values: pd.Series) -> pd.Series:
    return values.astype("string").str.strip().str.casefold()


def _is_numeric(stated: pd.Series) -> bool:
    if _is_of_truth_values(stated):
        return False
    return bool(pd.to_numeric(stated, errors="coerce").notna().all())


def _categories(stated: pd.Series) -> tuple[tuple[str, ...], Int[np.ndarray, " stated"]]:
    if _is_of_truth_values(stated):
        stated = _folded(stated).map({"true": "yes", "false": "no"})
    elif _is_numeric(stated):
        stated = pd.to_numeric(stated)
    else:
        stated = stated.astype("string").str.strip()
    found, of_stated = np.unique(stated.to_numpy(), return_inverse=True)
    return tuple(value_name(v) for v in found), of_stated.astype(np.int64)


def _binned(
    column: str, stated: Float64[np.ndarray, " stated"], edges: Sequence[float] | None
) -> tuple[tuple[str, ...], Int[np.ndarray, " stated"]]:
    if edges is None and "age" in _words(column):
        edges = _AGE_EDGES
    elif edges is None:
        edges = sorted({float(f"{cut:.3g}") for cut in np.quantile(stated, [0.25, 0.5, 0.75])})
    whole = bool((stated == np.rint(stated)).all() and (np.rint(edges) == edges).all())
    names = (
        f"under {edges[0]:g}",
        *(_between(low, high, whole) for low, high in pairwise(edges)),
        f"{edges[-1]:g} and over",
    )
    return names, np.searchsorted(np.asarray(edges), stated, side="right")


def _between(low: float, high: float, whole: bool) -> str:
    if whole:
        return f"{low:g}" if high == low + 1 else f"{low:g} to {high - 1:g}"
    return f"{low:g} to under {high:g}"
