"""The map of images and concepts, as SVG: a point an image, a label a concept."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int

WIDE, HIGH = 1100, 640
_MARGIN = 24
_LETTER, _LINE = 8.6, 20  # pixels of a label, about
_COLOURS = ("#0f766e", "#b45309", "#1d4ed8", "#b3304f", "#7c3aed", "#0369a1", "#4d7c0f", "#57534e")


def on_map(places: Float64[np.ndarray, "point 2"]) -> Int[np.ndarray, "point 2"]:
    """Return where points lie on the drawing, in whole pixels."""
    room = np.array([WIDE - 2 * _MARGIN, HIGH - 2 * _MARGIN])
    return np.asarray(np.rint(_MARGIN + places * room).astype(np.int64))


def draw_map(
    points: Int[np.ndarray, "image 2"],
    labels: Sequence[int],
    wrong: Bool[np.ndarray, " image"],
    concepts: Int[np.ndarray, "concept 2"],
    texts: Sequence[str],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Return what the template draws; the points of a class are one path, however many.

    Args:
        points: of images, by `on_map`.
        labels: their class's place among the classes.
        wrong: which of them are ringed: test images that are decided wrongly.
        concepts: of concepts, by `on_map`.
        texts: of the concepts.
        classes: their names.
    """
    of_class = np.array(labels)
    return {
        "size": {"wide": WIDE, "high": HIGH},
        "ringed": _path(points[wrong]),
        "classes": [
            {"name": name, "colour": _COLOURS[k % len(_COLOURS)], "path": path}
            for k, name in enumerate(classes)
            if (path := _path(points[of_class == k]))
        ],
        "concepts": _apart(concepts, texts),
    }


def _path(points: Int[np.ndarray, "point 2"]) -> str:
    return "".join(f"M{x} {y}h0" for x, y in points.tolist())


def _apart(places: Int[np.ndarray, "concept 2"], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return labels near their places, each moved down or up until it lies on no earlier one."""
    taken: list[tuple[float, float, float]] = []
    found = []
    for (x, y), text in zip(places.tolist(), texts, strict=True):
        half = min(_LETTER * len(text) / 2, WIDE / 2)
        at = min(max(x, half), WIDE - half)
        tries = (y + sign * step * _LINE for step in range(HIGH // _LINE) for sign in (1, -1))
        line = next(
            (
                v
                for v in tries
                if _LINE <= v <= HIGH - 4
                and all(abs(v - w) >= _LINE or abs(at - c) > half + h for c, w, h in taken)
            ),
            y,
        )
        taken.append((at, line, half))
        found.append({"x": round(at), "y": round(line), "text": text})
    return found
