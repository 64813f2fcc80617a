"""Whether heat lies where it should: hottest regions, held against masks, in arrays alone.

Sources: CLM of Aysel, Cai and Prugel-Bennett, Concept-based explainable artificial intelligence:
metrics and benchmarks, 2025, asks whether a concept's annotated point falls into the hottest part
of its map; the pointing game of Zhang et al., Top-down neural attention by excitation backprop,
2018, whether the hottest point falls into the object.
"""

import numpy as np
from jaxtyping import Bool, Float64, Shaped

_Maps = Float64[np.ndarray, "image place"]


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
    regions: Float64[np.ndarray, "image concept place"], lesion: _Maps
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
    heat: Float64[np.ndarray, "image concept place"], lesion: _Maps
) -> Float64[np.ndarray, "image concept"]:
    """Return the pointing game's answer: the share of the hottest place that is lesion.

    Heat that knows nothing reaches the lesion's share of the image on average.
    """
    return np.einsum("icp,ip->ic", hottest(heat, 1), lesion)


def lead_over_others(
    regions: _Maps, lesion: _Maps, groups: Shaped[np.ndarray, " image"]
) -> Float64[np.ndarray, " image"]:
    """Return how much of each image's CLM its region owes to being about this very image.

    With r an image's region, r' the mean region of images of other groups, m the image's mask of
    sum one and m' the mean mask of all images, it is (r - r') . (m - m'): the CLM, less that of
    the same region and any mask, less that of the same mask and other images' regions, and what
    these have in common added again. Regions that know nothing of the image they are on have 0 on
    average, and regions that are always the same have exactly 0, whatever lesions the images have:
    so images may be picked. Where each image is a group, the mean is the covariance of region and
    mask, which is without bias.

    Args:
        regions: share of each place that is in the region, of one concept.
        lesion: share of each place that is lesion; some of it is.
        groups: of each image; NaN is returned where there is one.
    """
    masks = lesion / lesion.sum(1, keepdims=True)
    return np.einsum("ip,ip->i", regions - means_of_others(regions, groups), masks - masks.mean(0))


def means_of_others(maps: _Maps, groups: Shaped[np.ndarray, " image"]) -> _Maps:
    """Return for each image the mean map of other groups' images; NaN where there are none."""
    _, group_of = np.unique(groups, return_inverse=True)
    own: Bool[np.ndarray, "group image"] = group_of == np.arange(group_of.max() + 1)[:, None]
    sums, counts = own.astype(np.float64) @ maps, own.sum(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return ((maps.sum(0) - sums) / (len(maps) - counts))[group_of]
