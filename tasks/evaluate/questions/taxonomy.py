"""Where classes stand in a tree, which mistakes stay within a branch?"""

import numpy as np
from jaxtyping import Float64

from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.questions.taxonomy import TaxonomyLevel, TaxonomyMetric, TaxonomyResults
from curette.schemas.taxonomy import levels_of
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.statistics.metrics import balanced_accuracy, confusion_matrices
from curette.tasks.methods.statistics.taxonomy import distances, mean_over_mistakes, merged


def measure(exam: Exam) -> TaxonomyResults | None:
    """Return every head's balanced accuracy at each level, and how far off its mistakes are.

    Decisions are the most probable class, as everywhere; at a level they count as the node that
    this class lies in. Of a head that chance deals several times each is the mean over its draws,
    on each resample; a draw without a mistake has no part in what is told of mistakes.
    """
    if not exam.spec.taxonomy:
        return None
    named = levels_of(exam.spec.taxonomy, exam.published.class_keys)
    levels = [np.unique(level, return_inverse=True)[1] for level in named]
    costs = [distances(levels[:1]), distances(levels)]
    depth, kinds = len(levels), [head.kind for head in exam.heads]
    wide = depth + 5  # levels, across and by chance, distance, by chance, and their difference

    def of_draw(
        draw: Float64[np.ndarray, "image class"], weights: Float64[np.ndarray, "resample image"]
    ) -> Float64[np.ndarray, "resample statistic"]:
        confusion = confusion_matrices(exam.images.labels, draw, weights)
        at_levels = [balanced_accuracy(merged(confusion, level)) for level in levels]
        across, distance = (mean_over_mistakes(confusion, cost) for cost in costs)
        lead = distance[:, :1] - distance[:, 1:]
        return np.concatenate([np.stack(at_levels, axis=1), across, distance, lead], axis=1)

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        found = [
            _mean_of_defined(np.stack([of_draw(draw, weights) for draw in head.draws]))
            for head in exam.heads
        ]
        lead = found[kinds.index(EXPLAINED)] - found[kinds.index(REFERENCE)]
        return np.concatenate([*found, lead[:, : depth + 3]], axis=1)

    found = exam.estimates(statistic)
    leads = found[len(kinds) * wide :]
    heads = []
    for place, head in enumerate(exam.heads):
        *at_levels, across, across_chance, distance, chance, lead = found[
            place * wide : (place + 1) * wide
        ]
        heads.append(
            TaxonomyMetric(
                head=head.name,
                head_kind=head.kind,
                levels=tuple(at_levels),
                across=across,
                across_chance=across_chance,
                distance=distance,
                distance_chance=chance,
                distance_lead=lead,
            )
        )
    return TaxonomyResults(
        levels=tuple(
            TaxonomyLevel(nodes=tuple(dict.fromkeys(level)), is_classes=number == depth - 1)
            for number, level in enumerate(named)
        ),
        heads=tuple(heads),
        level_leads=tuple(leads[:depth]),
        distance_lead=leads[depth + 2],
    )


def _mean_of_defined(
    draws: Float64[np.ndarray, "draw resample statistic"],
) -> Float64[np.ndarray, "resample statistic"]:
    """Return the mean over draws that have a value; NaN where none has."""
    known = ~np.isnan(draws)
    total = np.where(known, draws, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
