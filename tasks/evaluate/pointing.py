"""Whether heat lies where it should: hottest regions, held against masks, in arrays alone.

Sources: CLM of Aysel, Cai and Prugel-Bennett, Concept-based explainable artificial intelligence:
metrics and benchmarks, 2025, asks whether a concept's annotated point falls into the hottest part
of its map; the pointing game of Zhang et al., Top-down neural attention by excitation backprop,
2018, whether the hottest point falls into the object.
"""

import numpy as np
from jaxtyping import Bool, Float64, Shaped

_Masks = Float64[np.ndarray, "image place"]


def hottest(
    heat: Float64[np.ndarray, "*map place"], places: float
) -> Float64[np.ndarray, "*map place"]:
    """Return how much of each place is among the `places` hottest ones of its map.

    Shares sum to `places`, which need not be whole. Places of equal heat have equal shares, so
    that a map without any differences points nowhere.

    Args:
        heat: any numbers.
        places: from more than 0 to the number of places.
    """
    edge = -np.sort(-heat, axis=-1)[..., int(np.ceil(places)) - 1, None]
    above, at_edge = heat > edge, heat == edge
    room = places - above.sum(-1, keepdims=True)
    return above + at_edge * (room / at_edge.sum(-1, keepdims=True))


def location_metric(
    regions: Float64[np.ndarray, "image concept place"], lesion: _Masks
) -> Float64[np.ndarray, "image concept"]:
    """Return CLM: the chance that a point of the lesion lies in the region.

    Where CLM has one annotated point a concept, a mask has many; each counts alike. Regions that
    know nothing of the lesion reach their share of the image on average.

    Args:
        regions: share of each place that is in the region.
        lesion: share of each place that is lesion; some of it is.
    """
    return np.einsum("icp,ip->ic", regions, lesion / lesion.sum(1, keepdims=True))


def peak_in_lesion(
    heat: Float64[np.ndarray, "image concept place"], lesion: _Masks
) -> Float64[np.ndarray, "image concept"]:
    """Return the pointing game's answer: the share of the hottest place that is lesion.

    Heat that knows nothing reaches the lesion's share of the image on average.
    """
    return np.einsum("icp,ip->ic", hottest(heat, 1), lesion)


def masks_of_others(lesion: _Masks, groups: Shaped[np.ndarray, " image"]) -> _Masks:
    """Return for each image the mean of the masks of other groups' images, each of sum one.

    CLM is linear in a mask of sum one, so the CLM of this mean is the mean over all other images'
    masks. NaN where there is no other group.
    """
    masks = lesion / lesion.sum(1, keepdims=True)
    _, group_of = np.unique(groups, return_inverse=True)
    own: Bool[np.ndarray, "group image"] = group_of == np.arange(group_of.max() + 1)[:, None]
    sums, counts = own.astype(np.float64) @ masks, own.sum(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return ((masks.sum(0) - sums) / (len(masks) - counts))[group_of]
