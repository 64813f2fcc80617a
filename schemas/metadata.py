"""Columns of metadata: what their values are called, and those that nothing can be made of."""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, BeforeValidator


def value_name(value: object) -> str:
    """Return the name that a value of a metadata column goes by; of numbers all digits."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.15g}" if isinstance(value, float | np.floating) else str(value)


def _as_named(value: object) -> object:
    return value_name(value) if isinstance(value, bool | int | float) else value


ValueName = Annotated[str, BeforeValidator(_as_named)]
"""A value of a metadata column; yes and no where the column is of truth values."""


class UnusableColumn(BaseModel, frozen=True):
    """A metadata column without subgroups, and why."""

    column: str
    reason: str
