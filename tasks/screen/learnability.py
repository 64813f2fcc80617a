"""The learnability flag: does a concept's score rank the images that truly show it first?"""

import numpy as np
from jaxtyping import Bool, Float


def normalised_average_precision(
    scores: Float[np.ndarray, " image"], shown: Bool[np.ndarray, " image"], usual: float
) -> float:
    """Return average precision as it would be if `usual` images showed the concept.

    With recall r_i and f_i false positives down to rank i, P images that show it, and N = `usual`,

        precision'_i = r_i N / (r_i N + f_i)
        nAP = 1/P * sum over the ranks i of images that show it of precision'_i

    so that frequent concepts do not look easier than rare ones, as they do in average precision,
    which this is for N = P. Of equal scores, images that do not show it come first. Source: Hoiem,
    Chodpathumwan and Dai, Diagnosing Error in Object Detectors (ECCV 2012), section 2.

    Raises:
        ValueError: no image shows it, or `usual` is not positive.
    """
    if not shown.any() or usual <= 0:
        raise ValueError("average precision needs an image that shows the concept")
    order = np.lexsort((shown, -scores))
    hits = shown[order]
    recall = np.cumsum(hits)[hits] / hits.sum()
    false_positives = np.cumsum(~hits)[hits]
    return float((recall * usual / (recall * usual + false_positives)).mean())
