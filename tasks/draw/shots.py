"""Few shots: which images are drawn."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


def draw_shots(
    labels: Int[np.ndarray, " image"],
    groups: Int[np.ndarray, " image"],
    shots: int | None,
    seeds: Sequence[int],
) -> Int[np.ndarray, "draw shot"]:
    """Draw `shots` training images of every class, one draw a seed; return rows, class by class.

    A group (a patient, a lesion) gives its second image only when every group of the class has
    given its first, so that few shots are as unlike as they can be. A class with fewer images gives
    all of them. Draws of one seed are nested: the images of 2 shots are among those of 4, so that a
    curve over shots shows what more images bring and not another draw.

    Args:
        labels: of the training images; every class from 0 to the largest label occurs.
        groups: the group of each image.
        shots: images a class; None takes them all.
        seeds: of the draws.

    Raises:
        ValueError: `shots` is not positive, or a class has no image.
    """
    if shots is not None and shots < 1:
        raise ValueError(f"shots must be at least 1 image a class, got {shots}.")
    missing = np.flatnonzero(np.bincount(labels) == 0)
    if not len(labels) or len(missing):
        raise ValueError(
            f"classes {missing.tolist()} have no training image to draw; usually a split lost a "
            "rare class. Split by class, or leave those classes out."
        )
    return np.stack(
        [
            np.concatenate(
                [_order(np.flatnonzero(labels == k), groups, seed, k)[:shots] for k in range(count)]
            )
            for seed in seeds
            for count in [int(labels.max()) + 1]
        ]
    )


def _order(
    rows: Int[np.ndarray, " row"], groups: Int[np.ndarray, " image"], seed: int, label: int
) -> Int[np.ndarray, " row"]:
    """Return the rows of a class in drawing order: first images of groups, second ones, ..."""
    shuffled = np.random.default_rng([seed, label]).permutation(rows)
    seen: dict[int, int] = {}
    turn = np.empty(len(shuffled), dtype=int)
    for i, group in enumerate(groups[shuffled].tolist()):
        turn[i] = seen[group] = seen.get(group, -1) + 1
    return shuffled[np.argsort(turn, kind="stable")]
