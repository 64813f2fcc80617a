"""Where do the concept bottleneck and the linear probe decide differently, image by image?"""

import numpy as np
from jaxtyping import Float64

from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.questions.disagreement import DisagreeingImage, Disagreement
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.methods.statistics.disagreement import compare_decisions, differing_images

_SHOWN = 8


def measure(exam: Exam) -> Disagreement:
    """Return how two heads' decisions agree, and the images on which they differ most."""
    images = exam.images
    first, second = exam.answers(EXPLAINED), exam.answers(REFERENCE)
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
        examples=tuple(
            _example(images, int(i), said[i], answered[i])
            for i in differing_images(said, answered)[:_SHOWN]
        ),
    )


def _example(
    images: ExaminedImages,
    image: int,
    said: Float64[np.ndarray, " class"],
    answered: Float64[np.ndarray, " class"],
) -> DisagreeingImage:
    keys = images.class_keys
    return DisagreeingImage(
        image_id=images.ids[image],
        label=keys[images.labels[image]],
        first=keys[said.argmax()],
        first_probability=float(said.max()),
        second=keys[answered.argmax()],
        second_probability=float(answered.max()),
    )
