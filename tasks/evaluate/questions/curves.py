"""What does each head confuse, how far does its confidence hold, and what does that buy?"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.heads import card_of
from curette.schemas.questions.curves import Calibration, CurvePoint, HeadCurves, RiskPoint
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.methods.statistics.calibration import (
    at_temperature,
    debiased_calibration_error_of,
    equal_mass_reliability,
    fit_temperature,
)
from curette.tasks.methods.statistics.metrics import confusion_matrices, log_loss
from curette.tasks.methods.statistics.selective import risk_coverage_curve

_MOST_POINTS = 100

_Logits = Float64[np.ndarray, "image class"]


def measure(exam: Exam) -> tuple[HeadCurves, ...]:
    """Return the curves of the first head of each kind but of controls and what learned nothing."""
    kinds = dict.fromkeys(h.facts.kind for h in exam.probe.heads)
    heads = [exam.probe.head(kind) for kind in kinds if card_of(kind).worth_curves]
    return tuple(
        draw_curves(
            head.facts.name,
            exam.images,
            exam.logits[head.facts.name],
            exam.published.labels("validation"),
            head.logits(exam.features(head, "validation")),
        )
        for head in heads
    )


def draw_curves(
    head: str,
    images: ExaminedImages,
    logits: _Logits,
    validation_labels: Int[np.ndarray, " validation"],
    validation_logits: Float64[np.ndarray, "validation class"],
) -> HeadCurves:
    """Return a head's curves on the test images; only its temperature is from validation images.

    These chose the head's regularisation too, so the temperature is as good as it can be there.
    """
    probabilities = at_temperature(logits, 1.0)
    once = np.ones((1, len(images.labels)))
    confusion = confusion_matrices(images.labels, probabilities, once)[0]
    return HeadCurves(
        head=head,
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        calibration=_calibrate(images, logits, validation_labels, validation_logits),
        risk_coverage=tuple(_risk_coverage(images, probabilities)),
    )


def _calibrate(
    images: ExaminedImages,
    logits: _Logits,
    validation_labels: Int[np.ndarray, " validation"],
    validation_logits: Float64[np.ndarray, "validation class"],
) -> Calibration:
    temperature = fit_temperature(validation_labels, validation_logits)
    before, after = at_temperature(logits, 1.0), at_temperature(logits, temperature.value)
    curve = equal_mass_reliability(images.labels, before)
    return Calibration(
        temperature=temperature.value,
        at_bound=temperature.at_bound,
        validation_images=len(validation_labels),
        log_loss=_log_loss(images, before),
        log_loss_after=_log_loss(images, after),
        error=_error(images, before),
        error_after=_error(images, after),
        reliability=tuple(
            CurvePoint(confidence=float(c), accuracy=float(a), images=int(n))
            for c, a, n in zip(curve.confidence, curve.accuracy, curve.images, strict=True)
            if n
        ),
    )


def _log_loss(images: ExaminedImages, probabilities: Float64[np.ndarray, "image class"]) -> float:
    return float(log_loss(images.labels, probabilities, np.ones((1, len(images.labels))))[0])


def _error(
    images: ExaminedImages, probabilities: Float64[np.ndarray, "image class"]
) -> float | None:
    once = np.ones((1, len(images.labels)))
    error = debiased_calibration_error_of(images.labels, probabilities, images.groups)(once)[0]
    return None if np.isnan(error) else float(error)


def _risk_coverage(
    images: ExaminedImages, probabilities: Float64[np.ndarray, "image class"]
) -> Iterator[RiskPoint]:
    """Yield at most about a hundred points of the curve, evenly spread, both ends among them."""
    curve = risk_coverage_curve(images.labels, probabilities)
    count = len(curve.coverage)
    for i in np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(np.int64)):
        yield RiskPoint(
            threshold=float(curve.threshold[i]),
            coverage=float(curve.coverage[i]),
            risk=float(curve.risk[i]),
        )
