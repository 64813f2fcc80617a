"""What the reusable holdout tells of every head, instead of everything."""

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import GuardedAnswer, GuardedEvaluation
from curette.schemas.images import Split, TestLabels
from curette.schemas.probe import Heads
from curette.schemas.readings import HoldoutCharge, TestReading
from curette.schemas.settings.evaluate import EvaluateSpec, ThresholdoutSpec
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.methods.features import head_features
from curette.tasks.methods.statistics.holdout import Thresholdout
from curette.tasks.methods.statistics.metrics import balanced_accuracy, confusion_matrices


def evaluate_through_holdout(
    published: ConceptDataset,
    probe: Heads,
    test: TestLabels,
    spec: EvaluateSpec,
    guard: ThresholdoutSpec,
    question: str,
    earlier_readings: tuple[TestReading, ...],
    seed: int,
    charges: tuple[HoldoutCharge, ...],
) -> tuple[GuardedEvaluation, HoldoutCharge]:
    """Ask the holdout for the balanced accuracy of every head.

    Of a head of several random draws the mean over them is asked for, which is one question. There
    are no intervals: they would tell of the test images what the holdout keeps.

    Args:
        question: digest of what is asked, for the charge.
        seed: of the noise, a secret of these labels.
        charges: for earlier questions about the same labels.

    Raises:
        StudyError: an earlier study asked with other settings.
    """
    _check_settings(guard, charges)
    before = holdout = Thresholdout(
        threshold=guard.threshold,
        noise=guard.noise,
        budget=guard.budget,
        seed=seed,
        asked=sum(c.asked for c in charges),
        spent=sum(c.spent for c in charges),
    )
    images = join_test_labels(published, test)
    splits: tuple[Split, ...] = ("validation", "test")
    rows = {split: published.rows(split) for split in splits}
    labels = {"validation": published.labels("validation"), "test": images.labels}
    answers = []
    for family, heads in probe.families.items():
        reached = {
            split: float(
                np.mean(
                    [
                        _balanced_accuracy(
                            labels[split], h.logits(head_features(published, h, rows[split]))
                        )
                        for h in heads
                    ]
                )
            )
            for split in rows
        }
        told, holdout = holdout.answer(reached["validation"], reached["test"])
        answers.append(
            GuardedAnswer(
                head=family,
                head_kind=heads[0].facts.kind,
                nec=float(np.mean([h.facts.nec for h in heads])),
                value=told.value,
                source=told.source,
            )
        )
    counts = np.bincount(images.labels)
    evaluation = GuardedEvaluation(
        class_keys=published.class_keys,
        images=len(rows["test"]),
        groups=len(np.unique(images.groups)),
        earlier_readings=earlier_readings,
        pretraining=spec.pretraining,
        pretraining_covers_test=spec.pretraining_covers_test,
        settings=guard,
        one_image=1 / (len(published.class_keys) * int(counts[counts > 0].min())),
        remaining=max(holdout.remaining, 0),
        answers=tuple(answers),
    )
    charge = HoldoutCharge(
        question=question,
        study=published.facts.name,
        settings=guard,
        asked=holdout.asked - before.asked,
        spent=holdout.spent - before.spent,
    )
    return evaluation, charge


def _check_settings(guard: ThresholdoutSpec, charges: tuple[HoldoutCharge, ...]) -> None:
    """Refuse settings other than the first study's: looser ones would tell what those keep."""
    if charges and charges[0].settings != guard:
        first = charges[0]
        raise StudyError(
            f"evaluate.thresholdout: the study {first.study} asked these test labels first, with "
            f"threshold {first.settings.threshold:g}, noise {first.settings.noise:g} and budget "
            f"{first.settings.budget}. They hold for every study in this store: set the same."
        )


def _balanced_accuracy(
    labels: Int[np.ndarray, " image"], logits: Float64[np.ndarray, "image class"]
) -> float:
    once = np.ones((1, len(labels)))
    return float(balanced_accuracy(confusion_matrices(labels, logits, once))[0])
