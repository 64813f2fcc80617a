"""Where two heads decide differently, image by image."""

import numpy as np
from jaxtyping import Float64

from curette.schemas.evaluation import Disagreement, Quarrel
from curette.tasks.evaluate.judging import ExaminedImages, Judged
from curette.tasks.methods.statistics.disagreement import compare_decisions, differing_images

_SHOWN = 8


def find_quarrels(images: ExaminedImages, first: Judged, second: Judged) -> Disagreement:
    """Return how two heads' decisions agree, and the images on which they are most at odds."""
    said, answered = first.draws[0], second.draws[0]
    agreement = compare_decisions(images.labels, said, answered, images.groups)
    return Disagreement(
        first=first.name,
        second=second.name,
        both_right=agreement.both_right,
        only_first_right=agreement.only_first_right,
        only_second_right=agreement.only_second_right,
        both_wrong_alike=agreement.both_wrong_alike,
        both_wrong_apart=agreement.both_wrong_apart,
        p_value=agreement.p_value,
        quarrels=tuple(
            _quarrel(images, int(i), said[i], answered[i])
            for i in differing_images(said, answered)[:_SHOWN]
        ),
    )


def _quarrel(
    images: ExaminedImages,
    image: int,
    said: Float64[np.ndarray, " class"],
    answered: Float64[np.ndarray, " class"],
) -> Quarrel:
    keys = images.class_keys
    return Quarrel(
        image_id=images.ids[image],
        label=keys[images.labels[image]],
        first=keys[said.argmax()],
        first_probability=float(said.max()),
        second=keys[answered.argmax()],
        second_probability=float(answered.max()),
    )
