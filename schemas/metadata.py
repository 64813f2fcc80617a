"""What the values of a metadata column are called, in settings and in what is made of them."""

import numpy as np


def value_name(value: object) -> str:
    """Return the name that a value of a metadata column goes by; of numbers all digits."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.15g}" if isinstance(value, float | np.floating) else str(value)
