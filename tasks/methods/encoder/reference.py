"""Scores of statements against a sentence that is true of every image.

MONET (Kim et al., Nature Medicine 2024) holds the cosine of an image and a concept's prompt, such
as "This is dermatoscopy of a veil", against that of the prompt without the concept, "This is
dermatoscopy", by a softmax of the two. At any temperature that is a logistic function of their
difference, x.t - x.r = x.(t - r), so it ranks images by one concept as the difference does. The
difference is what is taken here, as one direction of unit length.

Class prompts stay as they are: r would add one number to all logits of an image, which no softmax
over classes tells. From an image's scores of concepts a number of its own is taken, x.r over the
length of each t - r. That changes the ranks of images by one concept, and heads a little.
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float32

from curette.schemas.artifact import StudyError

_SAME = 1e-3
"""Length below which what is left of a unit vector is rounding."""


def less_reference(
    texts: Sequence[str],
    vectors: Float32[np.ndarray, "text dim"],
    reference: Float32[np.ndarray, " dim"],
    untouched: Collection[str] = (),
) -> Float32[np.ndarray, "text dim"]:
    """Return the unit vectors of t - r, r being the reference's.

    Args:
        texts: of the vectors.
        vectors: unit rows.
        reference: of unit length.
        untouched: texts whose vectors stay as they are.

    Raises:
        StudyError: a text's vector is the reference's own, so that nothing is left of it.
    """
    left = vectors.astype(np.float64) - reference.astype(np.float64)
    length = np.linalg.norm(left, axis=1)
    as_they_are = np.array([text in untouched for text in texts], dtype=bool)
    if len(same := np.flatnonzero((length < _SAME) & ~as_they_are)):
        raise StudyError(
            f"encoder.reference: to the encoder '{texts[same[0]]}' is the reference itself, so "
            "nothing of it is left to score images by. Choose a reference that is true of every "
            "image, or leave the statement out"
        )
    unit = left / np.where(as_they_are, 1, length)[:, None]
    return np.where(as_they_are[:, None], vectors, unit.astype(np.float32))
