"""What the values of a metadata column are called, in settings and in what is made of them."""

from typing import Annotated

import numpy as np
from pydantic import BeforeValidator


def value_name(value: object) -> str:
    """Return the name that a value of a metadata column goes by; of numbers all digits."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.15g}" if isinstance(value, float | np.floating) else str(value)


def _as_named(value: object) -> object:
    return value_name(value) if isinstance(value, bool | int | float) else value


ValueName = Annotated[str, BeforeValidator(_as_named)]
"""A value of a metadata column; yes and no where the column is of truth values."""
