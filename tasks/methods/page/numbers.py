"""How numbers are written on the page."""

from collections.abc import Callable

from curette.schemas.metrics import Estimate


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign, none where it rounds to zero."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def plain(value: float | None, digits: int = 3) -> str:
    """Return a number, never `-0.000`; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def with_interval(e: Estimate | None, digits: int = 3) -> str:
    """Return a number and its interval; a dash where there is none."""
    return _with_interval(e, plain, digits)


def signed_with_interval(e: Estimate | None, digits: int = 3) -> str:
    """Return a difference and its interval; a dash where there is none."""
    return _with_interval(e, signed, digits)


def _with_interval(e: Estimate | None, say: Callable[[float, int], str], digits: int) -> str:
    if e is None:
        return "–"
    return f"{say(e.value, digits)} [{say(e.low, digits)}, {say(e.high, digits)}]"


def p_value(p: float) -> str:
    """Return a p-value, as exact as it is told."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 image`, `2 images`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
