"""Do other signs of doubt find a head's mistakes better than its confidence?"""

import numpy as np
from jaxtyping import Float64

from curette.schemas.heads import EXPLAINED, REFERENCE, card_of
from curette.schemas.images import Split
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Head
from curette.schemas.questions.error_prediction import ErrorPrediction, PredictedErrors
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.error_prediction import (
    SIGNS,
    ErrorPredictor,
    learn_errors,
    signs_of_doubt,
    why_unlearnable,
)
from curette.tasks.methods.statistics.calibration import at_temperature
from curette.tasks.methods.statistics.selective import area_by_order_of


def measure(exam: Exam) -> ErrorPrediction:
    """Return how the bottleneck's and the linear probe's mistakes on test images are found.

    What finds them learns from validation images. These chose the heads' regularisation too, so
    mistakes on them are somewhat rarer than on others.
    """
    found: list[PredictedErrors] = []
    refused: dict[str, str] = {}
    labels = exam.published.labels("validation")
    groups = exam.published.images["group"].to_numpy()[exam.published.rows("validation")]
    _, groups = np.unique(groups, return_inverse=True)
    for kind in (EXPLAINED, REFERENCE):
        head = exam.probe.head(kind)
        wrong = _probabilities(exam, head, "validation").argmax(1) != labels
        if why := why_unlearnable(wrong, groups):
            refused[head.facts.name] = why
            continue
        signs = _signs(exam, head, "validation")
        predictor = learn_errors(signs, wrong, groups.astype(np.int64), exam.spec.seed)
        measured = _compare(exam, head, predictor)
        if measured is None:
            refused[head.facts.name] = "hardly any test image tells mistakes from right decisions"
            continue
        by_confidence, by_prediction, difference, in_any_order = measured
        found.append(
            PredictedErrors(
                head=head.facts.name,
                by_confidence=by_confidence,
                by_prediction=by_prediction,
                difference=difference,
                in_any_order=in_any_order,
                weights=dict(zip(SIGNS, map(float, predictor.weights), strict=True)),
                learned_from=len(wrong),
                mistakes=int(wrong.sum()),
            )
        )
    return ErrorPrediction(heads=tuple(found), not_computable=refused)


def _compare(exam: Exam, head: Head, predictor: ErrorPredictor) -> list[Estimate] | None:
    said = _probabilities(exam, head, "test")
    wrong = said.argmax(1) != exam.images.labels
    by_confidence = area_by_order_of(said.max(1), wrong)
    by_prediction = area_by_order_of(-predictor(_signs(exam, head, "test")), wrong)

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        own, other = by_confidence(weights)[:, 0], by_prediction(weights)[:, 0]
        return np.stack([own, other, other - own, weights @ wrong / weights.sum(1)], axis=1)

    measured = [e for e in exam.estimates(statistic) if e is not None]
    return measured if len(measured) == 4 else None


def _signs(exam: Exam, head: Head, split: Split) -> Float64[np.ndarray, "image sign"]:
    """Return the signs of doubt of a split, beside the other kinds of heads that learned."""
    kinds = dict.fromkeys(h.facts.kind for h in exam.probe.heads)
    others = [exam.probe.head(k) for k in kinds if k != head.facts.kind and card_of(k).worth_curves]
    return signs_of_doubt(
        _probabilities(exam, head, split),
        [_probabilities(exam, other, split) for other in others],
        exam.published.vectors[exam.published.rows(split)],
        exam.published.vectors[exam.published.rows("train")],
    )


def _probabilities(exam: Exam, head: Head, split: Split) -> Float64[np.ndarray, "image class"]:
    if split == "test":
        return at_temperature(exam.logits[head.facts.name], 1.0)
    return at_temperature(head.logits(exam.features(head, split)), 1.0)
