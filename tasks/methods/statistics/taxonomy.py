"""How far apart in a tree of classes decisions are from the truth, over many weightings at once.

All of it is of confusion matrices O of true (row) and decided (column) classes, and of the tree as
levels, each of which says which node a class lies in. The distance d_ij of two classes is the
number of levels at which they lie in different nodes: 1 for classes of one lowest branch, the
number of levels for classes of different branches at the top. Where all classes lie equally deep
it is the height of their lowest common branch, as in Bertinetto et al., Making Better Mistakes:
Leveraging Class Hierarchies with Deep Networks, CVPR 2020. What is undefined is NaN.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int

from curette.tasks.methods.statistics.ordinal import ratio

_Confusion = Float64[np.ndarray, "resample class class"]
_Level = Int[np.ndarray, " class"]


def merged(confusion: _Confusion, level: _Level) -> Float64[np.ndarray, "resample node node"]:
    """Return the confusion of nodes: a decision for a class is one for the node it lies in."""
    member = np.eye(level.max() + 1)[level]
    return np.asarray(np.einsum("rij,ia,jb->rab", confusion, member, member, optimize=True))


def distances(levels: Sequence[_Level]) -> Float64[np.ndarray, "class class"]:
    """Return d of every pair of classes."""
    parted = np.stack([level[:, None] != level for level in levels])
    return np.asarray(parted.sum(axis=0), dtype=np.float64)


def mean_over_mistakes(
    confusion: _Confusion, cost: Float64[np.ndarray, "class class"]
) -> Float64[np.ndarray, "resample 2"]:
    """Return the mean cost of a mistake, and what it is by chance with the same totals.

    The second is sum_ij c_ij E_ij / sum_ij E_ij over i != j, E_ij = row_i column_j: what is
    expected of decisions that are as frequent as these and know nothing of the image, where they
    are wrong. NaN where nothing is wrong, or could be by chance.
    """
    wrong = 1 - np.eye(confusion.shape[1])
    rows, columns = confusion.sum(2), confusion.sum(1)
    return np.stack(
        [
            ratio((cost * wrong * confusion).sum((1, 2)), (wrong * confusion).sum((1, 2))),
            ratio(
                np.einsum("ij,ri,rj->r", cost * wrong, rows, columns),
                np.einsum("ij,ri,rj->r", wrong, rows, columns),
            ),
        ],
        axis=1,
    )
