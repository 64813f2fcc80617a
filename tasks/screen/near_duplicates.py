"""Find vectors that are nearly the same as one that comes before them."""

import numpy as np
from jaxtyping import Float, Int

_BLOCK = 512  # rows compared at a time: 512 x 5,000 cosines take 10 MB
_SLACK = 1e-5  # float32 products are off by less; what comes this close is computed again
_DECIMALS = 6


def nearest_kept(
    vectors: Float[np.ndarray, "item dim"],
    order: Int[np.ndarray, " item"],
    cosine: float,
) -> tuple[Int[np.ndarray, " item"], Float[np.ndarray, " item"]]:
    """Go through the items in order and keep those that are not too like a kept one.

    An item is dropped if its cosine with an item kept before it is at least `cosine`; its
    stand-in is the kept item with the largest, the first of equals. So no two kept items are that
    alike, every dropped one is that like its stand-in, and a second pass over the kept ones, in
    any order, drops nothing. Chains do not add up as they would in connected components: an item
    is never dropped for one that it does not resemble itself.

    Takes O(items^2 dim) time and O(items (dim + block)) memory. Close calls are decided by a
    cosine in float64, rounded to 6 decimals, that depends on the two vectors alone.

    Args:
        vectors: of any length but zero.
        order: a permutation of the items; earlier items are preferred.
        cosine: items at least this alike are duplicates, in (0, 1].

    Returns:
        For every item its stand-in (itself where it is kept) and their cosine.
    """
    count = len(vectors)
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    ranked = exact[order].astype(np.float32)
    stand_in, likeness = np.arange(count), np.ones(count)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        near = ranked[start:stop] @ ranked[:stop].T >= cosine - _SLACK
        for rank in range(start, stop):
            item = order[rank]
            before = order[:rank][near[rank - start, :rank]]
            kept = before[stand_in[before] == before]
            cosines = np.round((exact[kept] * exact[item]).sum(axis=1), _DECIMALS)
            if np.any(cosines >= cosine):
                stand_in[item] = kept[np.argmax(cosines)]
                likeness[item] = cosines.max()
    return stand_in, likeness
