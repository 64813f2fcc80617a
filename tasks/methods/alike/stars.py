"""Stars of rows that are alike: nothing is missed, and nothing is chained. Arrays only."""

from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from curette.tasks.methods.alike.pairs import Pairs


class Star(NamedTuple):
    """A row, and rows that are each like it, most alike first, ties by row."""

    center: int
    rows: Int64[np.ndarray, " row"]
    cosine: Float32[np.ndarray, " row"]


def stars(pairs: Pairs) -> list[Star]:
    """Group the pairs into stars: each b once, with an a that it is like itself.

    Centers are chosen one by one, each the one that is like most b without a center yet (the
    greedy cover; ties to the lower row). Then every b goes to the center that it is most like. So
    a burst of frames is one star or a few, no b is missed, and nothing is chained: two ends that
    are not alike share a star only with a center that both are like.

    Returns:
        The stars, that of the most alike pair first, ties by center.
    """
    if not len(pairs.a):
        return []
    centers = _cover(pairs)
    kept = pairs.take(np.flatnonzero(np.isin(pairs.a, centers)))
    best = kept.take(np.lexsort((kept.a, -kept.cosine, kept.b)))
    _, first = np.unique(best.b, return_index=True)
    best = best.take(first)
    best = best.take(np.lexsort((best.b, -best.cosine, best.a)))
    found, starts = np.unique(best.a, return_index=True)
    rows, cosines = np.split(best.b, starts[1:]), np.split(best.cosine, starts[1:])
    grouped = [Star(int(a), r, c) for a, r, c in zip(found, rows, cosines, strict=True)]
    return sorted(grouped, key=lambda star: (-star.cosine[0], star.center))


def _cover(pairs: Pairs) -> list[int]:
    """Return rows `a` that together are like every `b`, by lazy greedy.

    What a row would cover only shrinks, so the first of the heap that is still worth what it was
    worth is the best of all.
    """
    order = np.argsort(pairs.a, kind="stable")
    found, starts = np.unique(pairs.a[order], return_index=True)
    like = dict(zip(found.tolist(), np.split(pairs.b[order], starts[1:]), strict=True))
    heap = [(-len(rows), a) for a, rows in like.items()]
    heapify(heap)
    covered = np.zeros(pairs.b.max() + 1, dtype=bool)
    centers = []
    while heap:
        worth, a = heap[0]
        left = like[a][~covered[like[a]]]
        if len(left) == -worth:
            centers.append(a)
            covered[left] = True
            left = left[:0]
        if len(left):
            heapreplace(heap, (-len(left), a))
        else:
            heappop(heap)
    return centers
