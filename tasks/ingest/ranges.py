"""Which values of images of more than 8 bits are black and white: decided over the whole dataset.

A file of 16 bits often holds 10, 12 or 14, and one of floating or signed numbers says nothing about
white at all. The rules:

- `dataset.grey_range` names black and white, for all grey values of more than 8 bits.
- 16 bits without a sign: black is 0, and white the largest number of as many bits as the dataset's
  largest value needs.
- Floating numbers from 0 to 1: 1 is white, as in scikit-image and Matplotlib.
- Other numbers (CT values, floats beyond 1): refused with the range found.
- 16 bits a colour, of which Pillow reads the upper 8: refused where the dataset uses 14 or fewer.

An image that would be nearly black by its rule (99.5 % of it in the lowest sixteenth) is refused
too. What is scaled is kept as an image of 8 bits, which every later stage reads like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import NamedTuple

from curette.tasks.ingest.listing import Refusal
from curette.tasks.ingest.verify import Deep, Verified
from curette.tasks.methods.encoder.pixels import PLAIN, Depth, Values, Window, read_rgb

_NEARLY_BLACK = 1 / 16
_KNOWN_COLOUR = 1 << 14
_CALLED: dict[Depth, str] = {
    "16 bits": "16 bits",
    "integers": "whole numbers beyond 16 bits or below zero",
    "floats": "floating-point numbers",
    "colours": "16 bits a colour",
}
_REMEDY = (
    "say under `dataset.grey_range` which values are black and white, such as [{black:g}, "
    "{white:g}], or convert the images to 8 bits"
)


class Settled(NamedTuple):
    """Images whose values all have a meaning."""

    found: list[Verified | Refusal]
    notes: tuple[str, ...]
    windows: dict[Depth, Window]
    """Of the depths that are not read plainly: what is black and white in them."""


def settle_ranges(
    found: Sequence[Verified | Refusal],
    named: Window | None,
    keep: Callable[[bytes], str],
    workers: int,
) -> Settled:
    """Return the images with those of more than 8 bits scaled, or refused with their range.

    Args:
        found: all images of a dataset.
        named: the window that the study names.
        keep: keeps the bytes of an image; returns their sha256.
        workers: threads that scale.
    """
    settled = list(found)
    notes: list[str] = []
    windows: dict[Depth, Window] = {}
    rows: dict[Depth, dict[int, tuple[Verified, Deep]]] = defaultdict(dict)
    for i, what in enumerate(found):
        if isinstance(what, Verified) and what.deep:
            rows[what.deep.values.depth][i] = what, what.deep
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for depth, of_depth in rows.items():
            values = [deep.values for _, deep in of_depth.values()]
            window = _window(depth, values, named)
            if isinstance(window, Refusal):
                settled = [window if i in of_depth else what for i, what in enumerate(settled)]
                continue
            scale = partial(_scaled, window=window, keep=keep, dark=named is not None)
            for i, what in zip(of_depth, pool.map(scale, of_depth.values()), strict=True):
                settled[i] = what
            if depth != "colours":
                notes.append(_note(depth, values, window))
                if window != PLAIN:
                    windows[depth] = window
    return Settled(settled, tuple(notes), windows)


def _window(depth: Depth, values: Sequence[Values], named: Window | None) -> Window | Refusal:
    lowest = min(v.lowest for v in values)
    highest = max(v.highest for v in values)
    if depth == "colours":
        return PLAIN if highest >= _KNOWN_COLOUR else _unclear(depth, lowest, highest)
    if named:
        return named
    if depth == "16 bits":
        return Window(0, (1 << max(int(highest).bit_length(), 8)) - 1)
    if depth == "floats" and lowest >= 0 and 0.5 < highest <= 1:
        return Window(0, 1)
    return _unclear(depth, lowest, highest)


def _unclear(depth: Depth, lowest: float, highest: float) -> Refusal:
    remedy = _REMEDY.format(black=lowest, white=highest)
    if depth == "colours":
        remedy = "convert the images to 8 bits a channel, so that the brightest is near 255"
    return Refusal(
        "unclear-range",
        f"it holds {_CALLED[depth]}, in this dataset from {lowest:,.6g} to {highest:,.6g}, and "
        f"nothing says which is white; {remedy}",
    )


def _is_nearly_black(values: Values, window: Window) -> bool:
    black, white = window[::-1] if values.is_white_zero else window
    return not (values.bulk - black) / (white - black) >= _NEARLY_BLACK  # not a number is black


def _nearly_black(values: Values, window: Window) -> Refusal:
    return Refusal(
        "unclear-range",
        f"it would be nearly black: 99.5 % of its values are no brighter than {values.bulk:,.6g}, "
        f"they lie between {values.lowest:,.6g} and {values.highest:,.6g}, and "
        f"{window[not values.is_white_zero]:,.6g} is white in this dataset; "
        + _REMEDY.format(black=values.lowest, white=values.bulk),
    )


def _note(depth: Depth, values: Sequence[Values], window: Window) -> str:
    lowest, highest = min(v.lowest for v in values), max(v.highest for v in values)
    turned = sum(v.is_white_zero for v in values)
    bits = f" ({int(window.white).bit_length()} bits)" if depth == "16 bits" else ""
    return (
        f"{len(values):,} images of {_CALLED[depth]} have values from {lowest:,.6g} to "
        f"{highest:,.6g}: {window.black:,.6g} was taken for black and {window.white:,.6g} for "
        f"white{bits}." + f" In {turned:,} of them zero is white." * bool(turned)
    )


def _scaled(
    image: tuple[Verified, Deep], window: Window, keep: Callable[[bytes], str], *, dark: bool
) -> Verified | Refusal:
    """Return an image as it is kept; one that would be nearly black only where that is allowed."""
    what, deep = image
    if not dark and _is_nearly_black(deep.values, window):
        return _nearly_black(deep.values, window)
    if window == PLAIN:
        if what.location.startswith("shelf:"):
            keep(deep.load())
        return replace(what, deep=None)
    sha256 = keep(scaled_png(deep.load(), window))
    return replace(what, sha256=sha256, location=f"shelf:{sha256}", deep=None)


def scaled_png(content: bytes, window: Window) -> bytes:
    """Return an image of more than 8 bits as a PNG of 8, as `read_rgb` shows it."""
    buffer = BytesIO()
    read_rgb(content, window).convert("L").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
