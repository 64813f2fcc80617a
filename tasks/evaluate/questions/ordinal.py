"""Where classes have an order, how far off is each head?"""

import numpy as np
from jaxtyping import Float64

from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.questions.ordinal import OrdinalMetric
from curette.tasks.evaluate.answers import HeadAnswers
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.statistics.metrics import confusion_matrices
from curette.tasks.methods.statistics.ordinal import (
    mean_absolute_error,
    quadratic_weighted_kappa,
)


def measure(exam: Exam) -> tuple[OrdinalMetric, ...]:
    """Return kappa and error of every head, with its lead over the linear probe.

    Of a head that chance deals several times each is the mean over its draws, on each resample.
    """
    if not exam.spec.ordered:
        return ()
    kinds = [head.kind for head in exam.heads]
    explained, reference = kinds.index(EXPLAINED), kinds.index(REFERENCE)

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        columns = np.concatenate([_of_head(exam, head, weights) for head in exam.heads], axis=1)
        own, other = (columns[:, 2 * place : 2 * place + 2] for place in (explained, reference))
        return np.concatenate([columns, own - other], axis=1)

    *found, kappa_lead, error_lead = exam.estimates(statistic)
    return tuple(
        OrdinalMetric(
            head=head.name,
            head_kind=head.kind,
            kappa=found[2 * place],
            error=found[2 * place + 1],
            kappa_lead=kappa_lead if place == explained else None,
            error_lead=error_lead if place == explained else None,
        )
        for place, head in enumerate(exam.heads)
    )


def _of_head(
    exam: Exam, head: HeadAnswers, weights: Float64[np.ndarray, "resample image"]
) -> Float64[np.ndarray, "resample 2"]:
    draws = []
    for draw in head.draws:
        confusion = confusion_matrices(exam.images.labels, draw, weights)
        draws.append(
            np.stack([quadratic_weighted_kappa(confusion), mean_absolute_error(confusion)], axis=1)
        )
    return np.asarray(np.mean(draws, axis=0))
