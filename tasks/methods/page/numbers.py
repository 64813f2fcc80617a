"""How numbers are written on the page."""

from curette.schemas.metrics import Estimate
from curette.schemas.questions.differences import Difference
from curette.schemas.questions.metrics import Metric
from curette.schemas.questions.subgroups import WorstSubgroup


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


def with_interval(m: Metric | Estimate | WorstSubgroup) -> str:
    """Return a number and its interval as a sentence has them."""
    return f"{plain(m.value)} [{plain(m.low)}, {plain(m.high)}]"


def signed_with_interval(e: Estimate | Difference | None) -> str:
    """Return a difference and its interval; a dash where there is none."""
    return "–" if e is None else f"{signed(e.value)} [{signed(e.low)}, {signed(e.high)}]"


def p_value(p: float) -> str:
    """Return a p-value, as exact as it is told."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 image`, `2 images`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
