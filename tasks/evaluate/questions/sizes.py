"""What is every head worth on fewer and on more concepts, and is it the choice or the number?

Each head that answers by concepts is trained anew on the first so many of the study's own order, of
LaBo's and of random ones, by all training images, and asked about the same test images. Where
random orders are several it is the mean over them within each resample.
"""

import numpy as np
from jaxtyping import Float64

from curette.schemas.draws import Way
from curette.schemas.heads import REFERENCE, HeadKind
from curette.schemas.questions.sizes import HeadAtSize, Reached, SizeTable
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of

_COLUMNS = [METRICS.index("balanced_accuracy"), METRICS.index("macro_auroc")]


def measure(exam: Exam) -> SizeTable | None:
    """Return every head at every number; None where the study asks for none."""
    heads = exam.drawn.get("sizes")
    if heads is None:
        return None
    found: dict[tuple[HeadKind, Way, int], list[Float64[np.ndarray, "image class"]]] = {}
    for draw, of_draw in zip(heads.draws, exam.drawn_answers("sizes"), strict=True):
        for kind, head in of_draw.items():
            if draw.way and draw.size:
                found.setdefault((kind, draw.way, draw.size), []).extend(head.draws)
    measures = [
        [metrics_of(exam.images.labels, draw) for draw in draws]
        for draws in (exam.answers(REFERENCE).draws, *found.values())
    ]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        means = [np.mean([of(weights)[:, _COLUMNS] for of in draws], axis=0) for draws in measures]
        return np.concatenate(means, axis=1)

    flat = exam.estimates(statistic)
    probe, *points = zip(flat[::2], flat[1::2], strict=True)
    return SizeTable(
        points=tuple(
            HeadAtSize(
                head_kind=kind,
                way=way,
                concepts=size,
                balanced_accuracy=accuracy,
                macro_auroc=area,
            )
            for (kind, way, size), (accuracy, area) in zip(found, points, strict=True)
        ),
        probe=Reached(balanced_accuracy=probe[0], macro_auroc=probe[1]),
        unusable=(
            *(f"{draw.title}: {draw.reason}" for draw in heads.unusable),
            *(f"{heads.draws[s.trained_on].title}: {s.name}: {s.reason}" for s in heads.skipped),
        ),
    )
