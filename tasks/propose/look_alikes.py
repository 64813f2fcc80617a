"""Which classes look alike, by the vectors of their training images."""

import numpy as np
from jaxtyping import Float, Int


def nearest_classes(
    vectors: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    class_count: int,
    neighbours: int,
) -> list[tuple[int, int]]:
    """Return the pairs of classes that stand nearest to each other, each once, nearest first.

    Every class is paired with its `neighbours` nearest others by the distance of their mean
    vectors. A class without images has no pair. Ties go to the lower class number.

    Args:
        vectors: of training images.
        labels: class numbers, 0 to `class_count` - 1.
        class_count: how many classes there are.
        neighbours: nearest others taken for each class.
    """
    present = np.flatnonzero(np.bincount(labels, minlength=class_count))
    means = np.array([vectors[labels == k].mean(axis=0, dtype=np.float64) for k in present])
    distances = np.linalg.norm(means[:, None] - means[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    found: dict[tuple[int, int], float] = {}
    for a in range(len(present)):
        for b in np.argsort(distances[a], kind="stable")[: min(neighbours, len(present) - 1)]:
            pair = (int(present[min(a, b)]), int(present[max(a, b)]))
            found[pair] = float(distances[a, b])
    return sorted(found, key=lambda pair: (found[pair], pair))
