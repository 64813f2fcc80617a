"""The questions that the evaluation answers, one file each.

A question is a file here, whose `measure` returns one field of `Evaluation`; a line below; and,
under the same name, how the report tells it: `tasks/report/sections/<name>.py` and
`tasks/report/templates/<name>.html.j2`.
"""

from collections.abc import Callable

from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.questions import (
    concept_budget,
    concept_truth,
    curves,
    differences,
    disagreement,
    encoders,
    error_prediction,
    explanations,
    few_shots,
    folds,
    inferred_shares,
    interventions,
    location,
    metrics,
    ordinal,
    predictions,
    probe_sets,
    rounds,
    shifts,
    sizes,
    strategies,
    subgroups,
    taxonomy,
)

Question = Callable[[Exam], object]

QUESTIONS: dict[str, Question] = {
    "metrics": metrics.measure,
    "differences": differences.measure,
    "ordinal": ordinal.measure,
    "taxonomy": taxonomy.measure,
    "concept_budget": concept_budget.measure,
    "rounds": rounds.measure,
    "curves": curves.measure,
    "error_prediction": error_prediction.measure,
    "encoders": encoders.measure,
    "subgroups": subgroups.measure,
    "few_shots": few_shots.measure,
    "shifts": shifts.measure,
    "folds": folds.measure,
    "sizes": sizes.measure,
    "concept_truth": concept_truth.measure,
    "probe_sets": probe_sets.measure,
    "interventions": interventions.measure,
    "inferred_shares": inferred_shares.measure,
    "location": location.measure,
    "disagreement": disagreement.measure,
    "strategies": strategies.measure,
    "explanations": explanations.measure,
    "predictions": predictions.measure,
}
"""Field of `Evaluation` -> what answers it."""
