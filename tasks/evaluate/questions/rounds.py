"""What did each round of proposing add?

Whether a round was worth it was decided on validation images; this is what it came to on images
that had no part in that. The head is the small one by which sets of concepts are compared.
"""

import numpy as np
from jaxtyping import Float64

from curette.schemas.questions.rounds import RoundOnTest
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.questions.concept_budget import Learner
from curette.tasks.methods.threads import one_thread_of_torch


def measure(exam: Exam) -> tuple[RoundOnTest, ...]:
    """Return every kept round whose concepts are all still in the pool."""
    published, labels = exam.published, exam.images.labels
    pool = {c.concept_id for c in published.pool}
    told = [r for r in published.facts.rounds if r.kept and pool.issuperset(r.concepts)]
    if not told:
        return ()
    learner = Learner.of(exam)
    with one_thread_of_torch():
        sets = [published.pool_vectors[published.pool_rows(r.concepts)] for r in told]
        right = np.stack([learner.right(s[None], labels)[0] for s in sets]).astype(float)
    of_class = [np.flatnonzero(labels == k) for k in np.unique(labels)]

    def statistics(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        shares = [
            weights[:, rows] @ right[:, rows].T / weights[:, rows].sum(1)[:, None]
            for rows in of_class
        ]
        accuracy = np.nanmean(shares, axis=0)  # a class that a resample lost is not counted
        return np.concatenate([accuracy, np.diff(accuracy, axis=1)], axis=1)

    with np.errstate(invalid="ignore"):
        estimates = exam.estimates(statistics)
    gains = [None, *estimates[len(told) :]]
    return tuple(
        RoundOnTest(number=r.number, balanced_accuracy=value, gain=gain)
        for r, value, gain in zip(told, estimates, gains, strict=False)
    )
