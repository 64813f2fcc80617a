"""Why does the concept bottleneck decide single images as it does?"""

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.heads import EXPLAINED
from curette.schemas.probe import Head
from curette.schemas.questions.explanations import Contribution, Explanation
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.methods.statistics.calibration import at_temperature

_FOR, _AGAINST = 6, 4  # contributions listed in an explanation


def measure(exam: Exam) -> tuple[Explanation, ...]:
    """Take apart as many decisions as the study asks for."""
    head = exam.probe.head(EXPLAINED)
    return explain_decisions(head, exam.features(head), exam.images, exam.spec.explained_images)


def explain_decisions(
    head: Head,
    features: Float64[np.ndarray, "image concept"],
    images: ExaminedImages,
    count: int,
) -> tuple[Explanation, ...]:
    """Take apart the surest right decisions, one a class in turn, and the surest wrong ones."""
    logits = head.logits(features)
    probabilities = at_temperature(logits, 1.0)
    keys = images.class_keys
    return tuple(
        _explanation(
            head,
            features[i],
            images.ids[i],
            keys[images.labels[i]],
            keys,
            logits[i],
            probabilities[i],
        )
        for i in _worth_explaining(images.labels, probabilities, count)
    )


def _worth_explaining(
    labels: Int[np.ndarray, " image"],
    probabilities: Float64[np.ndarray, "image class"],
    count: int,
) -> list[int]:
    predicted, sureness = probabilities.argmax(axis=1), probabilities.max(axis=1)
    by_sureness = np.argsort(-sureness, kind="stable")
    wrong = [int(i) for i in by_sureness if predicted[i] != labels[i]][: count // 2]
    of_class = {
        k: [int(i) for i in by_sureness if predicted[i] == labels[i] == k]
        for k in range(probabilities.shape[1])
    }
    right: list[int] = []
    while len(right) + len(wrong) < count and any(of_class.values()):
        right += [images.pop(0) for images in of_class.values() if images]
    return right[: count - len(wrong)] + wrong


def _explanation(
    head: Head,
    features: Float64[np.ndarray, " concept"],
    image_id: str,
    label: str,
    keys: tuple[str, ...],
    logits: Float64[np.ndarray, " class"],
    probabilities: Float64[np.ndarray, " class"],
) -> Explanation:
    predicted = int(logits.argmax())
    contributions = head.contributions(features)[predicted]
    order = np.argsort(-contributions, kind="stable")
    strongest = [int(j) for j in order[:_FOR] if contributions[j] > 0]
    weakest = [int(j) for j in order[::-1][:_AGAINST] if contributions[j] < 0]

    def told(j: int) -> Contribution:
        candidate = head.facts.candidates[j]
        return Contribution(
            concept_id=candidate.concept_id,
            text=candidate.text,
            score=float(features[j]),
            contribution=float(contributions[j]),
        )

    listed = contributions[strongest].sum() + contributions[weakest].sum()
    return Explanation(
        image_id=image_id,
        label=label,
        predicted=keys[predicted],
        probability=float(probabilities[predicted]),
        logit=float(logits[predicted]),
        baseline=float(head.baseline[predicted]),
        speaking_for=tuple(told(j) for j in strongest),
        speaking_against=tuple(told(j) for j in weakest),
        rest=float(contributions.sum() - listed),
    )
