"""How much does a head depend on which of the images trained it?

Every head is trained once a fold, on all training and validation images but one fold, which
chooses, and asked about the same test images as the study's own. What differs between folds is what
trained and chose, and which concepts were selected; no edit of a person is in them. Folds share
most of their images, so their spread is no standard error; the intervals of the metrics tell what
other test images would say.
"""

import numpy as np
from jaxtyping import Float64

from curette.schemas.questions.folds import FoldSpread, FoldTable
from curette.tasks.evaluate.answers import HeadAnswers
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of

_METRIC = METRICS.index("balanced_accuracy")


def measure(exam: Exam) -> FoldTable | None:
    """Return what the heads of every fold reach; None where the study asks for no folds."""
    heads = exam.drawn.get("folds")
    if heads is None:
        return None
    answers = exam.drawn_answers("folds")
    spreads = []
    for own in exam.heads:
        there = [of_fold[own.kind] for of_fold in answers if own.kind in of_fold]
        if there and own is exam.answers(own.kind):  # not at fixed numbers of effective concepts
            spreads.append(
                FoldSpread(
                    head=own.name,
                    head_kind=own.kind,
                    value=_reached(exam, own),
                    folds=tuple(_reached(exam, head) for head in there),
                )
            )
    unusable = tuple(f"{draw.title}: {draw.reason}" for draw in heads.unusable)
    return FoldTable(spreads=tuple(spreads), unusable=unusable)


def _reached(exam: Exam, head: HeadAnswers) -> float:
    """Return the balanced accuracy, the mean over what chance dealt."""
    once: Float64[np.ndarray, "1 image"] = np.ones((1, len(exam.images.labels)))
    found = [metrics_of(exam.images.labels, draw)(once)[0, _METRIC] for draw in head.draws]
    return float(np.mean(found))
