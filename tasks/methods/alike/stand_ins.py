"""Which rows to keep of those that are nearly the same, and which one stands in for another."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64, Int

from curette.tasks.methods.alike.pairs import pairs_between

_BLOCK = 1024  # rows at a time
_SLACK = 1e-5  # float32 products are off by less; what comes this close is computed again
_DECIMALS = 6


def nearest_kept(
    vectors: Float[np.ndarray, "item dim"],
    order: Int[np.ndarray, " item"],
    cosine: float,
    agree: Callable[[int, int], bool] | None = None,
) -> tuple[Int[np.ndarray, " item"], Float[np.ndarray, " item"]]:
    """Go through the items in order and keep those that are not too like a kept one.

    An item is dropped if its cosine with an item kept before it is at least `cosine`; its
    stand-in is the kept item with the largest, the first of equals. So no two kept items are that
    alike, every dropped one is that like its stand-in, and a second pass over the kept ones, in
    any order, drops nothing. With `agree`, all this holds of the pairs that it agrees to.

    Connected components of the pairs found (union-find) promise only the first of the two: they
    chain, so that "red", "reddish", "pinkish" and "pale" fall together although the ends do not
    resemble each other, and a concept is dropped for one that does not say it.

    Who is near is sought among the *kept* items alone: few of them can be near one vector, as they
    are not near each other, so even 100,000 equal items make 100,000 results and not 10 billion.
    Takes O(items x kept x dim) time and O(items x dim) memory. Close calls are decided by a cosine
    in float64, rounded to 6 decimals, that depends on the two vectors alone.

    Args:
        vectors: of any length but zero.
        order: a permutation of the items; earlier items are preferred.
        cosine: items at least this alike are duplicates, in (0, 1].
        agree: whether a kept item may stand in for another that is that alike; symmetric. Where
            few pairs agree, many kept items may be near one another: give it small pools.

    Returns:
        For every item its stand-in (itself where it is kept) and their cosine.
    """
    count = len(vectors)
    stand_in, likeness = np.arange(count), np.ones(count)
    kept = np.zeros(0, np.int64)
    known = np.zeros((0, vectors.shape[1]), np.float32)
    for start in range(0, count, _BLOCK):
        block = order[start : start + _BLOCK]
        exact = _unit(vectors[block])
        rounded = exact.astype(np.float32)
        near: list[list[int]] = [[] for _ in block]
        for pairs in pairs_between(known, rounded, cosine - _SLACK):
            for row, hit in zip(pairs.b.tolist(), pairs.a.tolist(), strict=True):
                near[row].append(hit)
        alike = rounded @ rounded.T >= cosine - _SLACK
        rows: list[int] = []  # of the block, that are kept
        for row, item in enumerate(block):
            among_kept = kept[sorted(near[row])]
            rivals = np.append(among_kept, [block[r] for r in rows if alike[row, r]]).astype(
                np.int64
            )
            if agree is not None:
                rivals = np.array([r for r in rivals if agree(int(r), int(item))], dtype=np.int64)
            cosines = np.round((_unit(vectors[rivals]) * exact[row]).sum(axis=1), _DECIMALS)
            if np.any(cosines >= cosine):
                stand_in[item] = rivals[np.argmax(cosines)]
                likeness[item] = cosines.max()
            else:
                rows.append(row)
        known = np.concatenate([known, rounded[rows]])
        kept = np.concatenate([kept, block[rows]])
    return stand_in, likeness


def _unit(rows: Float[np.ndarray, "row dim"]) -> Float64[np.ndarray, "row dim"]:
    exact = rows.astype(np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)
