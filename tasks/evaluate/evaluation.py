"""Measuring every head on the test split: the one place where test labels are read."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import EvaluateSpec, Evaluation, HeadCurves, Prediction, TestLook
from curette.schemas.few_shots import FewShotHeads
from curette.schemas.heads import EXPLAINED, REFERENCE, card_of
from curette.schemas.heat_maps import HeatMaps
from curette.schemas.images import TestLabels
from curette.schemas.probe import Head, Probe
from curette.schemas.shifts import ShiftHeads
from curette.tasks.evaluate.concept_interventions import measure_interventions
from curette.tasks.evaluate.concept_quality import measure_concepts
from curette.tasks.evaluate.curves import draw_curves
from curette.tasks.evaluate.explanation import explain_decisions
from curette.tasks.evaluate.external import ExternalTest
from curette.tasks.evaluate.features import head_features
from curette.tasks.evaluate.few_shot_curves import few_shot_curves
from curette.tasks.evaluate.judging import ExaminedImages, join_test_labels, judge_heads
from curette.tasks.evaluate.location import measure_location
from curette.tasks.evaluate.quality import measure_quality
from curette.tasks.evaluate.quarrels import find_quarrels
from curette.tasks.evaluate.shift_tables import measure_shifts
from curette.tasks.evaluate.subgroup_tables import tabulate_subgroups
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap

_Said = Mapping[str, Float64[np.ndarray, "image class"]]
"""Head -> its logits."""


def evaluate_heads(
    published: ConceptDataset,
    probe: Probe,
    test: TestLabels,
    spec: EvaluateSpec,
    *,
    earlier_looks: tuple[TestLook, ...] = (),
    few_shots: FewShotHeads | None = None,
    shifts: ShiftHeads | None = None,
    heat_maps: HeatMaps | None = None,
    external: tuple[ExternalTest, ...] = (),
) -> Evaluation:
    """Measure every head on the test images, with intervals and against its baselines.

    Whether all of it can be answered, `check_askable` says before the labels are read.
    """
    images = join_test_labels(published, test)
    rows = published.rows("test")
    bootstrap = ClusterBootstrap.of(images.groups, spec.resamples, spec.seed)
    said = {head.facts.name: _logits(published, head, rows) for head in probe.heads}
    judged = tuple(judge_heads(probe, said))
    metrics, differences = measure_quality(images, judged, bootstrap, spec)
    bottleneck, linear = (
        next(j for j in judged if j.kind == kind) for kind in (EXPLAINED, REFERENCE)
    )
    explained = probe.head(EXPLAINED)
    return Evaluation(
        class_keys=published.class_keys,
        images=len(rows),
        groups=bootstrap.groups,
        resamples=spec.resamples,
        confidence=spec.confidence,
        interval=spec.interval,
        earlier_looks=earlier_looks,
        pretraining=spec.pretraining,
        pretraining_covers_test=spec.pretraining_covers_test,
        metrics=metrics,
        differences=differences,
        curves=tuple(_curves(published, probe, said, images)),
        subgroups=tabulate_subgroups(images, (bottleneck, linear), bootstrap, spec),
        few_shots=few_shot_curves(
            few_shots, published.vectors[rows], images.labels, bootstrap, spec.confidence
        )
        if few_shots
        else None,
        shifts=measure_shifts(
            published, shifts or ShiftHeads((), ()), images, spec, probe, external
        )
        if shifts or external
        else None,
        concepts=measure_concepts(published, probe, images, bootstrap, spec),
        interventions=measure_interventions(published, probe, images, bootstrap, spec),
        location=measure_location(published, probe, heat_maps, images, bootstrap, spec),
        disagreement=find_quarrels(images, bottleneck, linear),
        explanations=explain_decisions(
            explained, head_features(published, explained, rows), images, spec.explained_images
        ),
        predictions=_predictions(said, images),
    )


def _logits(
    published: ConceptDataset, head: Head, rows: Int[np.ndarray, " row"]
) -> Float64[np.ndarray, "row class"]:
    return head.logits(head_features(published, head, rows))


def _curves(
    published: ConceptDataset, probe: Probe, said: _Said, images: ExaminedImages
) -> Iterator[HeadCurves]:
    """Yield the curves of the first head of each kind but of controls and what learned nothing."""
    validation = published.rows("validation")
    for kind in dict.fromkeys(h.facts.kind for h in probe.heads):
        if card_of(kind).worth_curves:
            head = probe.head(kind)
            yield draw_curves(
                head.facts.name,
                images,
                said[head.facts.name],
                published.labels("validation"),
                _logits(published, head, validation),
            )


def _predictions(said: _Said, images: ExaminedImages) -> tuple[Prediction, ...]:
    keys = images.class_keys
    predicted = {name: logits.argmax(axis=1) for name, logits in said.items()}
    return tuple(
        Prediction(
            image_id=image_id,
            label=keys[images.labels[i]],
            predicted={name: keys[rows[i]] for name, rows in predicted.items()},
        )
        for i, image_id in enumerate(images.ids)
    )
