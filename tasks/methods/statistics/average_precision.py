"""Average precision: as it is, and as if a set number of images showed what is looked for."""

import numpy as np
from jaxtyping import Bool, Float, Float64


def normalised_average_precision(
    scores: Float[np.ndarray, " image"],
    present: Bool[np.ndarray, " image"],
    expected: float,
    weights: Float64[np.ndarray, "resample image"],
) -> Float64[np.ndarray, " resample"]:
    """Return nAP: average precision as if `expected` images showed the concept.

    Going down the scores, with recall r and false positives f at each distinct one,

        nAP = sum (increase of r) * r N0 / (r N0 + f),  N0 = `expected` * total weight / images

    so that frequent and rare concepts compare, which they do not in average precision; with as many
    images as show it, it is just that. N0 is the same for all, such as images / classes. NaN where
    none shows it. Sources: Hoiem, Chodpathumwan and Dai, Diagnosing error in object detectors, ECCV
    2012, section 2; for concepts Ramaswamy et al., Overlooked factors in concept-based
    explanations, CVPR 2023.
    """
    true, false = _passed(scores, present, weights)
    wanted = expected * weights.sum(1, keepdims=True) / len(scores)
    return _area(true, false, wanted)


def average_precision(
    scores: Float[np.ndarray, " image"],
    present: Bool[np.ndarray, " image"],
    weights: Float64[np.ndarray, "resample image"],
) -> Float64[np.ndarray, " resample"]:
    """Return AP = sum (increase of recall) * precision, at each distinct score going down.

    A head that knows nothing has the share of images that show it. NaN where none does.
    """
    true, false = _passed(scores, present, weights)
    return _area(true, false, true[:, -1:])


def _passed(
    scores: Float[np.ndarray, " image"],
    present: Bool[np.ndarray, " image"],
    weights: Float64[np.ndarray, "resample image"],
) -> tuple[Float64[np.ndarray, "resample score"], Float64[np.ndarray, "resample score"]]:
    """Return the weight of images that show it, and that do not, down to each distinct score."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    columns, shown = weights[:, order], present[order]
    true = np.cumsum(columns * shown, axis=1)[:, last_of_tie]
    false = np.cumsum(columns * ~shown, axis=1)[:, last_of_tie]
    return true, false


def _area(
    true: Float64[np.ndarray, "resample score"],
    false: Float64[np.ndarray, "resample score"],
    wanted: Float64[np.ndarray, "resample 1"],
) -> Float64[np.ndarray, " resample"]:
    with np.errstate(invalid="ignore"):
        recall = true / true[:, -1:]
        precision = recall * wanted / (recall * wanted + false)
    gained = np.diff(recall, axis=1, prepend=0.0)
    value = (gained * np.where(gained > 0, precision, 0.0)).sum(1)
    return np.where(true[:, -1] > 0, value, np.nan)
