"""Asking every question of the test images: the one place where test labels are read."""

from collections.abc import Mapping, Sequence
from typing import Any

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.schemas.heat_maps import HeatMaps
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads
from curette.schemas.readings import TestReading
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.tasks.evaluate.encoders import FurtherEncoder
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.external import ExternalTest
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import QUESTIONS, Question


def evaluate_heads(
    published: ConceptDataset,
    probe: Heads,
    test: TestLabels,
    spec: EvaluateSpec,
    *,
    earlier_readings: tuple[TestReading, ...] = (),
    drawn: Sequence[Heads] = (),
    heat_maps: HeatMaps | None = None,
    external: tuple[ExternalTest, ...] = (),
    encoders: tuple[FurtherEncoder, ...] = (),
    resampled: Heads | None = None,
) -> Evaluation:
    """Measure every head on the test images, with intervals and against its baselines.

    Whether all of it can be answered, `check_askable` says before the labels are read.
    """
    exam = Exam(
        published=published,
        probe=probe,
        images=join_test_labels(published, test),
        spec=spec,
        drawn={heads.protocol: heads for heads in drawn},
        heat_maps=heat_maps,
        external=external,
        encoders=encoders,
        resampled=resampled,
        earlier_readings=earlier_readings,
    )
    return Evaluation(**answer(exam))


def answer(exam: Exam, questions: Mapping[str, Question] = QUESTIONS) -> dict[str, Any]:
    """Return the fields of `Evaluation`: what was examined, and the answer to every question."""
    spec = exam.spec
    return {
        "class_keys": exam.published.class_keys,
        "images": len(exam.images.ids),
        "groups": exam.bootstrap.groups,
        "resamples": spec.resamples,
        "confidence": spec.confidence,
        "interval": spec.interval,
        "earlier_readings": exam.earlier_readings,
        "pretraining": spec.pretraining,
        "pretraining_covers_test": spec.pretraining_covers_test,
        **{name: measure(exam) for name, measure in questions.items()},
    }
